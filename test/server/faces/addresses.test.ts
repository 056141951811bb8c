import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ask, running, type Running } from '../running.ts'

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const MiB = 1024 * 1024
const faces = [{ name: 'addresses', bucket: 'media' }] as const
const open = (): Promise<Running> => running({ faces })

describe('blobs by their address (seed 003)', () => {
  it('are put, had and got, and putting them again changes nothing', async () => {
    await using at = await open()
    const bytes = randomBytes(300_000)
    for (let round = 0; round < 2; round++) {
      const put = await ask(at.url, '/blobs', { method: 'POST', body: bytes })
      expect([put.status, put.json]).toEqual([200, { hash: sha(bytes) }])
    }
    const got = await ask(at.url, `/blobs/${sha(bytes)}`)
    expect([got.status, got.bytes.equals(bytes), got.headers['content-length']]).toEqual([200, true, '300000'])
    const had = await ask(at.url, `/blobs/${sha(bytes)}`, { method: 'HEAD' })
    expect([had.status, had.headers['content-length'], had.bytes.length]).toEqual([200, '300000', 0])
    const token = await at.token({ bucket: 'media' })
    const { json } = await ask(at.url, '/v1/buckets/media/blobs?versions', { token })
    expect(json.items.map(({ key, version }: { key: string; version: number }) => [key, version])).toEqual([
      [sha(bytes), 1],
    ])
  })

  it('of no bytes is one, too', async () => {
    await using at = await open()
    expect((await ask(at.url, '/blobs', { method: 'POST', body: '' })).json).toEqual({ hash: sha('') })
    const got = await ask(at.url, `/blobs/${sha('')}`)
    expect([got.status, got.bytes.length]).toEqual([200, 0])
  })

  it('that /v1 put under their hash are served; other bytes under it, and deleted ones, are not', async () => {
    await using at = await open()
    const token = await at.token({ bucket: 'media' })
    const put = (key: string, body: string) =>
      ask(at.url, `/v1/buckets/media/blobs/${key}`, { method: 'PUT', body, token })
    await put(sha('right'), 'right')
    await put(sha('wrong'), 'right')
    expect((await ask(at.url, `/blobs/${sha('right')}`)).text).toBe('right')
    for (const method of ['GET', 'HEAD']) {
      expect((await ask(at.url, `/blobs/${sha('wrong')}`, { method })).status).toBe(404)
    }
    await ask(at.url, '/blobs', { method: 'POST', body: 'wrong' })
    expect((await ask(at.url, `/blobs/${sha('wrong')}`)).text).toBe('wrong')
    await ask(at.url, `/v1/buckets/media/blobs/${sha('right')}`, { method: 'DELETE', token })
    expect((await ask(at.url, `/blobs/${sha('right')}`)).json).toEqual({ error: 'there is no such blob' })
    await ask(at.url, '/blobs', { method: 'POST', body: 'right' })
    expect((await ask(at.url, `/blobs/${sha('right')}`)).text).toBe('right')
  })

  it('put by many at once are one version', async () => {
    await using at = await open()
    const all = await Promise.all(
      Array.from({ length: 8 }, () => ask(at.url, '/blobs', { method: 'POST', body: 'the same' })),
    )
    expect(all.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
    const token = await at.token({ bucket: 'media' })
    expect((await ask(at.url, `/v1/buckets/media/blobs/${sha('the same')}`, { token })).headers).toMatchObject({
      'x-blobs-version': '1',
    })
  })

  it.each(['abc', `${'a'.repeat(63)}G`, 'A'.repeat(64), `${'a'.repeat(64)}b`, '..%2f..%2fsecret', '%2e%2e'])(
    'of the form %s are none',
    async (address) => {
      await using at = await open()
      const { status, json } = await ask(at.url, `/blobs/${address}`)
      expect([status, typeof json.error]).toEqual([400, 'string'])
    },
  )

  it('have at most 16 MiB; other requests have at most 1 MiB', async () => {
    await using at = await open()
    const most = Buffer.alloc(16 * MiB, 7)
    expect((await ask(at.url, '/blobs', { method: 'POST', body: most })).json).toEqual({ hash: sha(most) })
    const over = await ask(at.url, '/blobs', { method: 'POST', headers: { 'content-length': String(16 * MiB + 1) } })
    expect([over.status, typeof over.json.error]).toEqual([413, 'string'])
    const chunked = `head -c ${16 * MiB + 1} /dev/zero | curl -s -o /dev/null -w '%{http_code}' -X POST -T - ${at.url}/blobs`
    expect((await promisify(execFile)('sh', ['-c', chunked])).stdout).toBe('413')
    expect((await ask(at.url, `/blobs/${sha('x')}`, { body: Buffer.alloc(MiB + 1) })).status).toBe(413)
  })

  it('are got by curl', async () => {
    await using at = await open()
    const run = promisify(execFile)
    const put = await run('curl', ['-sS', '--data-binary', 'from curl', `${at.url}/blobs`])
    expect(put.stdout).toBe(`{"hash":"${sha('from curl')}"}`)
    expect((await run('curl', ['-sS', `${at.url}/blobs/${sha('from curl')}`])).stdout).toBe('from curl')
  })
})

describe('a face without tokens', () => {
  it.each([
    ['a foreign name of this machine', { host: 'attacker.example' }],
    ['a page of another origin', { origin: 'http://attacker.example' }],
    ['a page of another port', { origin: 'http://localhost:1' }],
    ['a sandboxed page', { origin: 'null' }],
    ['a picture in a foreign page', { 'sec-fetch-site': 'cross-site' }],
    ['a page of another port of this machine', { 'sec-fetch-site': 'same-site' }],
    ['a proxy', { 'x-forwarded-for': '1.2.3.4' }],
  ])('serves nobody who comes by %s', async (_name, headers) => {
    await using at = await running({ faces: [...faces, { name: 'changelog', bucket: 'log', store: 'MyStore' }] })
    for (const [method, path] of [
      ['POST', '/blobs'],
      ['GET', `/blobs/${sha('')}`],
      ['POST', '/add'],
      ['GET', '/changes'],
      ['POST', '/getStoreChanges'],
    ] as const) {
      const { status } = await ask(at.url, path, { method, headers, ...(method === 'POST' ? { body: '{}' } : {}) })
      expect([path, status]).toEqual([path, 403])
    }
    for await (const { name } of at.buckets.list()) expect(name).toBe(null)
  })

  it('is refused on an address of other machines, and not there unless it is asked for', async () => {
    await expect(running({ faces, host: '0.0.0.0', tls: { cert: '', key: '' } })).rejects.toMatchObject({
      code: 'Refused',
    })
    await using at = await running()
    expect((await ask(at.url, '/blobs', { method: 'POST', body: '' })).status).toBe(404)
  })

  it('is in the audit log, the log and the metrics as /v1 is', async () => {
    const audit: string[] = []
    await using at = await running({ faces, audit: (line) => audit.push(line) })
    await ask(at.url, '/blobs', { method: 'POST', body: 'x' })
    await ask(at.url, `/blobs/${sha('none')}`)
    const { text } = await ask(at.url, '/metrics')
    expect(text).toMatch(/blobs_http_request_duration_seconds_count\{method="POST",route="\/blobs",status="200"\} 1/)
    expect(text).toMatch(/blobs_commit_entries_total\{outcome="made"\} 1/)
    const lines = audit.map((line) => JSON.parse(line) as Record<string, unknown>)
    const who = { who: 'addresses', token: 'face addresses', bucket: 'media' }
    expect(lines).toMatchObject([
      { action: 'bucket.create', result: 'ok' },
      { ...who, action: 'put', key: sha('x'), result: 'ok' },
      { ...who, action: 'get', key: sha('none'), result: 'NotFound' },
    ])
    const requests = at.log.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(requests).toContainEqual(expect.objectContaining({ path: '/blobs', status: 200, bucket: 'media' }))
  })
})
