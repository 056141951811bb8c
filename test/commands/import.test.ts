import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ask } from '../server/running.ts'
import { askJson } from '../server/faces/seed.ts'
import { connect } from '../server/socket/client.ts'
import { type Machine, openMachine } from './blobs.ts'

const sha = (text: string): string => createHash('sha256').update(text).digest('hex')

let machine: Machine
beforeEach(() => void (machine = openMachine()))
afterEach(() => machine.dispose())

it(
  'what is imported is served to the clients of the originals, and exported as it came',
  { timeout: 60_000 },
  async () => {
    const faces = ['changelog=records', 'addresses=media', 'containers']
    const server = await machine.serve(...faces.flatMap((face) => ['--face', face]))
    const run = async (bucket: string, ...args: string[]) => {
      const made = await machine.blobs(['token', 'create', bucket, '--data', server.data])
      const token = made.stdout.trim().split('\n').at(-1) ?? ''
      return { token, ...(await machine.blobs(args, { env: { BLOBS_TOKEN: token } })) }
    }
    const ref = sha('a ref')
    const stored = `{"data":"aGVsbG8=","version":7,"created":1,"updated":2,"ip":"unknown"}\n`
    machine.write(`storage/${ref.slice(0, 2)}/${ref}.json`, stored)
    const live = await run('live', 'import', '--from', 'blobs-storage', 'storage', `${server.url}/live`)
    expect([live.code, live.stderr]).toEqual([0, expect.stringContaining('imported 1 item, 5 B')])
    const client = await connect(server.url, live.token)
    try {
      await client.ask('ref', ref)
      expect(await client.ask('get', {})).toEqual([{ data: 'aGVsbG8=', version: 1 }])
    } finally {
      client.socket.close()
    }
    expect((await run('live', 'export', '--to', 'blobs-storage', `${server.url}/live`, 'out/live')).code).toBe(0)
    expect(readFileSync(machine.path('out', 'live', ref.slice(0, 2), `${ref}.json`), 'utf8')).toBe(stored)

    const db = new DatabaseSync(machine.path('app.db'))
    db.exec('CREATE TABLE MyStore (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)')
    db.exec("INSERT INTO MyStore (key, type, value) VALUES ('k', 'ADD', 'v'), ('l', 'ADD', 'w'), ('k', 'DELETE', NULL)")
    db.close()
    expect((await run('records', 'import', '--from', 'changelog', 'app.db', `${server.url}/records`)).code).toBe(0)
    const changes = await askJson(server.url, 'GET', '/changes', { after: 0 })
    expect(
      (JSON.parse(changes.text) as { type: string; key: string }[]).map(({ type, key }) => `${type} ${key}`),
    ).toEqual(['ADD k', 'ADD l', 'DELETE k'])
    expect((await askJson(server.url, 'GET', '/get', { key: 'l' })).text).toBe('w')
    await askJson(server.url, 'POST', '/add', { key: 'made here', value: 'x' })
    expect((await run('records', 'export', '--to', 'changelog', `${server.url}/records`, 'out.db')).code).toBe(0)
    const out = new DatabaseSync(machine.path('out.db'), { readOnly: true })
    expect(out.prepare('SELECT key, type, value FROM MyStore ORDER BY id').all().at(-1)).toEqual({
      key: 'made here',
      type: 'ADD',
      value: 'x',
    })
    out.close()

    machine.write(`media/${sha('bytes')}`, 'bytes')
    expect((await run('media', 'import', '--from', 'addresses', 'media', `${server.url}/media`)).code).toBe(0)
    expect((await ask(server.url, `/blobs/${sha('bytes')}`)).text).toBe('bytes')
    await ask(server.url, '/blobs', { method: 'POST', body: 'more' })
    expect((await run('media', 'export', '--to', 'addresses', `${server.url}/media`, 'out/media')).code).toBe(0)
    expect(readFileSync(machine.path('out', 'media', sha('more')), 'utf8')).toBe('more')
    expect((await server.stop()).code).toBe(0)
  },
)

it('says what it did, what was there, what it left out and what failed', async () => {
  await machine.blobs(['bucket', 'create', 'media'])
  for (const text of ['a', 'b']) machine.write(`files/${sha(text)}`, text)
  const from = ['import', '--from', 'addresses', 'files', 'media/in']
  const would = await machine.blobs([...from, '--dry-run', '--json'])
  expect(would.lines()).toEqual([
    ...[sha('b'), sha('a')]
      .toSorted()
      .map((name) => ({ type: 'would-import', name: `files/${name}`, key: `in/${name}`, size: 1 })),
    expect.objectContaining({ type: 'summary', items: 2, dryRun: true, failed: 0 }),
  ])
  expect((await machine.blobs(['ls', 'media'])).stdout).toBe('')
  machine.write(`files/${sha('c')}`, 'spoiled')
  machine.write('files/README', 'x')
  const partly = await machine.blobs(from)
  expect([partly.code, partly.stdout]).toEqual([3, ''])
  expect(partly.stderr).toContain(`corrupt: files/${sha('c')} does not hold the bytes that its name says`)
  expect(partly.stderr).toContain('skipped: files/README: its name is no SHA-256')
  expect(partly.stderr).toMatch(/imported 2 items, 2 B, 1 skipped, in /)
  const again = await machine.blobs([...from, '--json'])
  expect(again.code).toBe(3)
  expect(again.lines().at(-1)).toMatchObject({
    type: 'summary',
    items: 0,
    unchanged: 2,
    skipped: 1,
    failed: 1,
    exitCode: 3,
  })
  const given = await machine.blobs(['export', '--to', 'addresses', 'media/in', 'out', '--json'])
  expect(given.lines().map(({ type }) => type)).toEqual(['exported', 'exported', 'summary'])
  expect(existsSync(machine.path('out', sha('a')))).toBe(true)
})

it('refuses what makes no sense', async () => {
  const code = async (...args: string[]) => (await machine.blobs(args)).code
  expect(await code('import', 'x', 'media')).toBe(2)
  expect(await code('import', '--from', 'zip', 'x', 'media')).toBe(2)
  await machine.blobs(['bucket', 'create', 'media'])
  expect(await code('import', '--from', 'addresses', 'none', 'media')).toBe(6)
  expect(await code('import', '--from', 'changelog', 'none', 'media')).toBe(6)
  expect(await code('export', '--to', 'addresses', 'absent', 'out')).toBe(6)
  expect(await code('serve', '--face', 'nothing', '--port', '0')).toBe(2)
  expect(await code('serve', '--face', 'addresses=media', '--host', '0.0.0.0', '--port', '0')).toBe(12)
})
