import { execFile } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { SYSTEM_BUCKET } from '../../../src/store/contract/keys.ts'
import { bucketOf } from '../../../src/server/faces/container-records.ts'
import { type Asked, ask, type Overrides, raw, type Reply, running, type Running, SECRETS } from '../running.ts'
import { askJson } from './seed.ts'

const MiB = 1024 * 1024
let spool: string
beforeEach(async () => void (spool = await mkdtemp(join(tmpdir(), 'blobs-uploads-'))))
afterEach(() => rm(spool, { recursive: true }))

const open = (more: Overrides = {}, signUp: 'this machine' | 'anybody' = 'this machine'): Promise<Running> =>
  running({ faces: [{ name: 'containers', signUp, spool }], ...more })

interface Client {
  readonly token: string
  json(method: string, path: string, value?: unknown): Promise<Reply>
  upload(container: string, name: string, bytes: Uint8Array, chunk?: number): Promise<Reply>
}

const account = (name: string) => ({ username: name, email: `${name}@example.org`, password: `${name} password` })

async function signedIn(at: Running, name: string): Promise<Client> {
  expect((await askJson(at.url, 'POST', '/signup', account(name))).status).toBe(201)
  const { json } = await askJson(at.url, 'POST', '/login', account(name))
  return client(at, json.token)
}

function client(at: Running, token: string): Client {
  const json: Client['json'] = (method, path, value) =>
    value === undefined ? ask(at.url, path, { method, token }) : askJson(at.url, method, path, value, { token })
  return {
    token,
    json,
    upload: async (container, name, bytes, chunk = MiB) => {
      const begun = await json('POST', '/initiate-upload', {
        container_name: container,
        file_name: name,
        file_size: bytes.length,
        chunk_size: chunk,
      })
      for (const number of Object.keys(begun.json.chunk_info)) {
        const part = bytes.subarray(Number(number) * chunk, (Number(number) + 1) * chunk)
        const sent = await ask(at.url, '/upload-part', form({ ...partFields(begun.json.blob_id, number), file: part }))
        expect([sent.status, sent.text]).toEqual([200, '{"status":"success"}'])
      }
      return json('POST', '/complete-upload', { blob_id: begun.json.blob_id })
    },
  }
}

const partFields = (upload_id: string, part_number: string) => ({
  upload_id,
  part_number,
  data_node: 'data_node_1:9001',
})

/** A form as a browser sends it, in the order given. */
function form(fields: Readonly<Record<string, string | Uint8Array>>): Asked {
  const boundary = `----x${randomBytes(8).toString('hex')}`
  const parts = Object.entries(fields).flatMap(([name, value]) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${typeof value === 'string' ? '' : '; filename="blob"\r\nContent-Type: application/octet-stream'}\r\n\r\n`,
    ),
    Buffer.from(value),
    Buffer.from('\r\n'),
  ])
  return {
    method: 'POST',
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
    body: Buffer.concat([...parts, Buffer.from(`--${boundary}--\r\n`)]),
  }
}

/** What a client makes of the chunks, in the order in which they come. */
function assembled(reply: Reply): Buffer {
  const chunks = Object.values(reply.json as Record<string, { blob_data: string; status: string }>)
  expect(chunks.every(({ status }) => status === 'success')).toBe(true)
  return Buffer.concat(chunks.map(({ blob_data }) => Buffer.from(blob_data, 'base64')))
}

describe('users of containers (seed 001)', () => {
  it('sign up, log in, are known and log out in the words of the original', async () => {
    await using at = await open()
    const say = (path: string, value: unknown) => askJson(at.url, 'POST', path, value)
    const told = async (reply: Promise<Reply>) => [(await reply).status, (await reply).json]
    const ann = { username: 'ann', email: 'ann@example.org', password: 'secret' }
    expect(await told(say('/signup', ann))).toEqual([201, { status: 'success' }])
    const taken = [500, { error: 'Error writing to database' }]
    expect(await told(say('/signup', ann))).toEqual(taken)
    expect(await told(say('/signup', { ...ann, username: 'other' }))).toEqual(taken)
    expect(await told(say('/signup', { ...ann, email: 'other' }))).toEqual(taken)
    expect(await told(say('/signup', { username: 'x', password: 'y' }))).toEqual([500, { error: "'email'" }])
    const wrong = [401, { message: 'Invalid username or password', status: 'failure' }]
    expect(await told(say('/login', { ...ann, password: 'wrong' }))).toEqual(wrong)
    expect(await told(say('/login', { ...account('nobody') }))).toEqual(wrong)
    expect((await say('/login', { username: 'ann', email: '' })).status).toBe(500)
    for (const by of [ann, { ...ann, email: '' }, { ...ann, username: '' }]) {
      expect((await say('/login', by)).json).toEqual({ status: 'success', token: expect.any(String) })
    }
    const { token } = (await say('/login', ann)).json
    const [, claims = ''] = token.split('.')
    const { user_id, exp, iat } = JSON.parse(Buffer.from(claims, 'base64url').toString())
    expect([user_id, exp - Math.floor(iat)]).toEqual([1, 1800])
    const self = (more: Asked) => told(ask(at.url, '/is-logged-in', more))
    expect(await self({ token })).toEqual([200, { status: 'success' }])
    expect(await self({})).toEqual([401, { error: 'Token is missing' }])
    expect(await self({ headers: { authorization: 'Basic x' } })).toEqual([401, { error: 'Invalid token' }])
    expect(await self({ token: `${token}x` })).toEqual([401, { error: 'Token is invalid' }])
    expect(await told(ask(at.url, '/logout', { method: 'POST', token }))).toEqual([200, { status: 'success' }])
    expect(await self({ token })).toEqual([401, { error: "You're logged out." }])
  })

  it('are out after half an hour, and the tokens of one face are none of the other', async () => {
    let shift = 0
    await using at = await open({ now: () => Date.now() + shift })
    const ann = await signedIn(at, 'ann')
    expect((await ask(at.url, '/v1/buckets', { token: ann.token })).status).toBe(401)
    expect((await ann.json('GET', '/list_containers')).status).toBe(200)
    const all = await at.token({ bucket: '*', can: ['read', 'admin'] })
    expect((await ask(at.url, '/list_containers', { token: all })).json).toEqual({ error: 'Token is invalid' })
    shift = 30 * 60_000 + 1000
    expect((await ann.json('GET', '/list_containers')).json).toEqual({ error: 'Token has expired' })
  })

  it('have their passwords nowhere: not in the store, the log or the audit log', async () => {
    const audit: string[] = []
    await using at = await open({ audit: (line) => audit.push(line) })
    const ann = await signedIn(at, 'ann')
    await askJson(at.url, 'POST', '/login', { ...account('ann'), password: 'ann Password' })
    const system = await at.buckets.open(SYSTEM_BUCKET)
    let kept = ''
    for (const { key, version } of (await system.list({ prefix: 'containers/' })).items) {
      for await (const { bytes } of system.fetch([{ key, version }])) kept += Buffer.from(bytes).toString()
    }
    await system.close()
    expect(kept).toMatch(/"password":"scrypt\$32768\$8\$1\$[A-Za-z0-9+/=]+\$[A-Za-z0-9+/=]+"/)
    const unsalted = createHash('sha256').update('ann password').digest('hex')
    for (const text of [kept, at.log.join(''), audit.join('')]) {
      for (const secret of ['ann password', 'ann Password', unsalted, ann.token]) expect(text).not.toContain(secret)
    }
    const lines = audit.map((line) => JSON.parse(line) as Record<string, unknown>)
    expect(lines).toMatchObject([
      { action: 'signup', who: 'ann', result: 'ok' },
      { action: 'login', who: 'ann', result: 'ok' },
      { action: 'login', who: '', result: 'Unauthenticated' },
    ])
  })

  it('are in the audit log with what they do', async () => {
    const audit: string[] = []
    await using at = await open({ audit: (line) => audit.push(line) })
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    await ann.upload('box', 'f', Buffer.from('x'))
    await ann.json('GET', '/download?container=box&blob=f')
    await ann.json('DELETE', '/delete-blob?container=box&blob=f')
    await ann.json('GET', '/get_data?container=box&blob=f')
    const lines = audit.slice(2).map((line) => JSON.parse(line) as Record<string, unknown>)
    const of = { who: 'ann', bucket: 'u1.box' }
    expect(lines).toMatchObject([
      { ...of, action: 'bucket.create', result: 'ok' },
      { ...of, action: 'upload.begin', key: 'f', result: 'ok' },
      { ...of, action: 'put', key: 'f', result: 'ok' },
      { ...of, action: 'get', key: 'f', result: 'ok' },
      { ...of, action: 'delete', key: 'f', result: 'ok' },
      { ...of, action: 'get', key: 'f', result: 'NotFound' },
    ])
    const { text } = await ask(at.url, '/metrics')
    expect(text).toMatch(/duration_seconds_count\{method="POST",route="\/upload-part",status="200"\} 1/)
  })

  it('sign up on this machine only, unless anybody may; and not too many in a minute', async () => {
    {
      await using at = await open()
      for (const headers of [
        { 'x-forwarded-for': '1.2.3.4' },
        { host: 'blobs.example' },
        { origin: 'http://a.example' },
      ]) {
        expect((await askJson(at.url, 'POST', '/signup', account('x'), { headers })).status).toBe(403)
      }
      const here = { headers: { origin: 'http://localhost:3000' } }
      expect((await askJson(at.url, 'POST', '/signup', account('x'), here)).status).toBe(201)
    }
    await using at = await open({}, 'anybody')
    const proxied = { headers: { 'x-forwarded-for': '1.2.3.4' } }
    const all: number[] = []
    for (let user = 0; user < 12; user++) {
      all.push((await askJson(at.url, 'POST', '/signup', account(`u${user}`), proxied)).status)
    }
    expect(all).toEqual([...Array.from({ length: 10 }, () => 201), 503, 503])
  })

  it('who guess passwords are locked out, others are not', async () => {
    await using at = await open({ bounds: { badTokens: 3 } })
    await askJson(at.url, 'POST', '/signup', account('ann'))
    await askJson(at.url, 'POST', '/signup', account('bob'))
    const guess = (name: string, password: string) =>
      askJson(at.url, 'POST', '/login', { ...account(name), password }).then(({ status }) => status)
    for (let round = 0; round < 3; round++) expect(await guess('ann', 'wrong')).toBe(401)
    expect(await guess('ann', 'ann password')).toBe(503)
    expect(await guess('bob', 'bob password')).toBe(200)
  })

  it('who sign up with one name at the same time are one', async () => {
    await using at = await open({}, 'anybody')
    const all = await Promise.all(Array.from({ length: 5 }, () => askJson(at.url, 'POST', '/signup', account('ann'))))
    expect(all.map(({ status }) => status).sort()).toEqual([201, 500, 500, 500, 500])
  })

  it('find a page of any origin that asks for them', async () => {
    await using at = await open()
    const { status, headers } = await ask(at.url, '/initiate-upload', {
      method: 'OPTIONS',
      headers: { origin: 'http://localhost:3000', 'access-control-request-method': 'POST' },
    })
    expect(status).toBe(204)
    expect(headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-headers': 'authorization, content-type',
    })
    expect((await ask(at.url, '/is-logged-in')).headers['access-control-allow-origin']).toBe('*')
  })
})

describe('containers', () => {
  it('are made, listed and deleted in the words of the original', async () => {
    await using at = await open()
    const ann = await signedIn(at, 'ann')
    const make = async (container_name: unknown) => {
      const { status, json } = await ann.json('POST', '/create_container', { container_name })
      return [status, json]
    }
    expect(await make('box')).toEqual([201, { status: 'success' }])
    for (const name of ['box', '', 'x'.repeat(51), 5, null, undefined, '\ud800']) {
      expect([name, ...(await make(name))]).toEqual([name, 500, { error: 'An error occurred' }])
    }
    expect(await make('Żółw ☂ ../..')).toEqual([201, { status: 'success' }])
    expect((await ann.json('GET', '/list_containers')).json).toEqual({
      containers: [
        { id: 1, name: 'box', status: 'active', user_id: 1 },
        { id: 2, name: 'Żółw ☂ ../..', status: 'active', user_id: 1 },
      ],
    })
    await ann.upload('box', 'a', Buffer.from('a'))
    const gone = await ann.json('DELETE', '/delete_container?container_name=box')
    expect(gone.json).toEqual({
      chunks: [{ blob_id: expect.any(String), chunk_id: expect.any(String), primary_node: 'blobs:0', replicas: [] }],
      status: 'success',
    })
    expect((await ann.json('GET', '/list_containers')).json.containers).toHaveLength(1)
    expect(await make('box')).toEqual([500, { error: 'An error occurred' }])
    expect((await ann.json('DELETE', '/delete_container')).json).toEqual({ error: 'container_name is required' })
    expect((await ann.json('DELETE', '/delete_container?container_name=box')).status).toBe(404)
  })

  it('are buckets with names of their own, whatever users call them', async () => {
    const users = [1, 2, 11, 12]
    const names = [
      'box',
      'Box',
      'b.x',
      '1.box',
      '.box',
      '-',
      '☂',
      'a/b',
      'box-0123456789abcdef',
      'x'.repeat(41),
      'é',
      'e\u0301',
    ]
    const derived = bucketOf(1, 'Box')
    const all = users.flatMap((user) => [...names, derived, derived.slice(3)].map((name) => bucketOf(user, name)))
    expect(new Set(all).size).toBe(all.length)
    for (const bucket of all) expect(bucket).toMatch(/^[a-z0-9][a-z0-9._-]{1,62}$/)
    expect(bucketOf(7, 'photos')).toBe('u7.photos')
    await using at = await open()
    const ann = await signedIn(at, 'ann')
    await at.buckets.create('u1.taken')
    expect((await ann.json('POST', '/create_container', { container_name: 'taken' })).status).toBe(500)
    expect((await ann.json('GET', '/list_blobs?container=taken')).json).toEqual({ blobs: [] })
  })

  it('of one user are out of reach of another', async () => {
    await using at = await open()
    const [ann, bob] = [await signedIn(at, 'ann'), await signedIn(at, 'bob')]
    for (const one of [ann, bob]) await one.json('POST', '/create_container', { container_name: 'box' })
    await ann.json('POST', '/create_container', { container_name: 'hers' })
    await ann.upload('box', 'file', Buffer.from('hers'))
    await bob.upload('box', 'file', Buffer.from('his'))
    await ann.upload('hers', 'file', Buffer.from('hers, too'))
    for (const container of ['hers', 'u1.box', '1/box', '../1/box', 'u1.hers', '_system', '']) {
      const place = `container=${encodeURIComponent(container)}&blob=file`
      expect((await bob.json('GET', `/get_data?${place}`)).json).toEqual({ error: 'Blob not found' })
      expect((await bob.json('GET', `/download?${place}`)).status).toBe(404)
      expect((await bob.json('GET', `/list_blobs?container=${container}`)).json).toEqual({ blobs: [] })
      expect((await bob.json('DELETE', `/delete-blob?${place}`)).json).toEqual({ chunks: [], status: 'success' })
      const file = { container_name: container, file_name: 'x', file_size: 1 }
      expect((await bob.json('POST', '/initiate-upload', file)).json).toEqual({ error: 'Container not found' })
    }
    expect((await bob.json('DELETE', '/delete_container?container_name=hers')).status).toBe(404)
    await bob.json('DELETE', '/delete-blob?container=box&blob=file')
    await bob.json('DELETE', '/delete_container?container_name=box')
    expect(assembled(await ann.json('GET', '/get_data?container=box&blob=file')).toString()).toBe('hers')
    expect(assembled(await ann.json('GET', '/get_data?container=hers&blob=file')).toString()).toBe('hers, too')
    const begun = await ann.json('POST', '/initiate-upload', { container_name: 'box', file_name: 'n', file_size: 1 })
    const id = begun.json.blob_id
    const stolen = await ask(at.url, '/upload-part', {
      ...form({ ...partFields(id, '0'), file: Buffer.from('x') }),
      token: bob.token,
    })
    expect([stolen.status, stolen.json]).toEqual([404, { status: 'failure', error: 'Upload not found' }])
    expect((await bob.json('POST', '/complete-upload', { blob_id: id })).status).toBe(404)
  })
})

describe('blobs of a container', () => {
  it('of many chunks are the same when they come back, and for /v1', async () => {
    await using at = await open({ on: 'disk' })
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    const bytes = randomBytes(12 * MiB + 12_345)
    expect((await ann.upload('box', 'films/one.bin', bytes)).json).toEqual({ status: 'success' })
    const got = await ann.json('GET', '/get_data?container=box&blob=films/one.bin')
    expect(Object.keys(got.json)).toHaveLength(13)
    // The order in the text, too: a client may go by that.
    expect([...got.text.matchAll(/"(\d+)":\{"blob_data"/g)].map(([, number]) => Number(number))).toEqual(
      Array.from({ length: 13 }, (_, number) => number),
    )
    expect(assembled(got).equals(bytes)).toBe(true)
    const download = await ann.json('GET', '/download?container=box&blob=films/one.bin')
    expect([download.headers['content-type'], download.bytes.equals(bytes)]).toEqual(['application/octet-stream', true])
    const listed = (await ann.json('GET', '/list_blobs?container=box')).json
    expect(listed).toEqual({
      blobs: [
        {
          blob_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          blob_name: 'films/one.bin',
          blob_size: bytes.length,
          container_name: 'box',
        },
      ],
    })
    const token = await at.token({ bucket: 'u1.box' })
    const v1 = await ask(at.url, '/v1/buckets/u1.box/blobs/films/one.bin', { token })
    expect([v1.headers['x-blobs-version'], v1.headers['x-blobs-author'], v1.bytes.equals(bytes)]).toEqual([
      '1',
      'ann',
      true,
    ])
    expect(await readdir(spool)).toEqual([])
  }, 60_000)

  it('put by /v1 are there, newest first, and empty ones are {}', async () => {
    await using at = await open()
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    const token = await at.token({ bucket: 'u1.box' })
    await ask(at.url, '/v1/buckets/u1.box/blobs/theirs', { method: 'PUT', body: 'from v1', token })
    expect((await ann.json('GET', '/get_data?container=box&blob=theirs')).text).toBe(
      `{"0":{"blob_data":"${Buffer.from('from v1').toString('base64')}","status":"success"}}`,
    )
    await ann.upload('box', 'theirs', Buffer.from('second'))
    expect(assembled(await ann.json('GET', '/get_data?container=box&blob=theirs')).toString()).toBe('second')
    const first = await ask(at.url, '/v1/buckets/u1.box/blobs/theirs?version=1', { token })
    expect(first.text).toBe('from v1')
    const begun = await ann.json('POST', '/initiate-upload', {
      container_name: 'box',
      file_name: 'empty',
      file_size: 0,
    })
    expect(begun.json.chunk_info).toEqual({})
    const coming = (await ann.json('GET', '/list_blobs?container=box')).json.blobs
    expect(coming.map(({ blob_name }: { blob_name: string }) => blob_name)).toEqual(['theirs', 'empty'])
    expect((await ann.json('GET', '/get_data?container=box&blob=empty')).json).toEqual({ error: 'Blob not found' })
    await ann.json('POST', '/complete-upload', { blob_id: begun.json.blob_id })
    expect((await ann.json('GET', '/get_data?container=box&blob=empty')).text).toBe('{}')
    const gone = await ann.json('DELETE', '/delete-blob?container=box&blob=theirs')
    expect(gone.json.chunks).toHaveLength(1)
    expect((await ann.json('DELETE', '/delete-blob?container=box&blob=theirs')).json.chunks).toEqual([])
    expect((await ann.json('GET', '/get_data?container=box&blob=theirs')).status).toBe(404)
    expect((await ask(at.url, '/v1/buckets/u1.box/blobs/theirs?version=2', { token })).text).toBe('second')
  })

  it('are completed only when each part came whole, in any order, and once', async () => {
    await using at = await open()
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    const file = { container_name: 'box', file_name: 'f', file_size: 250, chunk_size: 100 }
    const id: string = (await ann.json('POST', '/initiate-upload', file)).json.blob_id
    const send = async (part: string, size: number, by = String(part)) =>
      (await ask(at.url, '/upload-part', form({ file: Buffer.alloc(size, by), ...partFields(id, part) }))).status
    const complete = async () => (await ann.json('POST', '/complete-upload', { blob_id: id })).status
    expect(await send('2', 50)).toBe(200)
    expect(await complete()).toBe(400)
    for (const [part, size] of [
      ['0', 99],
      ['0', 101],
      ['2', 100],
      ['3', 100],
      ['-1', 100],
      ['x', 100],
      ['', 100],
      ['0', 0],
    ] as const) {
      expect([part, size, await send(part, size)]).toEqual([part, size, 400])
    }
    expect(await send('1', 100, 'x')).toBe(200)
    expect(await send('0', 100)).toBe(200)
    expect(await send('1', 100)).toBe(200)
    expect(await Promise.all([complete(), complete()])).toEqual([200, 200])
    expect(await complete()).toBe(200)
    const { text } = await ann.json('GET', '/download?container=box&blob=f')
    expect(text).toBe(`${'0'.repeat(100)}${'1'.repeat(100)}${'2'.repeat(50)}`)
    expect(await send('0', 100)).toBe(404)
    expect((await ann.json('POST', '/complete-upload', { blob_id: '1'.repeat(36) })).status).toBe(404)
    const token = await at.token({ bucket: 'u1.box' })
    expect((await ask(at.url, '/v1/buckets/u1.box/blobs/f', { token })).headers['x-blobs-version']).toBe('1')
  })

  it('have sizes and names that can be', async () => {
    await using at = await open()
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    const file = { container_name: 'box', file_name: 'f', file_size: 1 }
    for (const bad of [
      { file_size: -1 },
      { file_size: 2 ** 31 },
      { file_size: '1' },
      { file_size: null },
      { chunk_size: 0 },
      { chunk_size: 17 * MiB },
      { file_size: 20_000, chunk_size: 1 },
      { file_name: '' },
      { file_name: 'a//b' },
      { file_name: 5 },
      { file_name: 'x'.repeat(2000) },
    ]) {
      expect([bad, (await ann.json('POST', '/initiate-upload', { ...file, ...bad })).status]).toEqual([bad, 400])
    }
    for (const name of ['../../etc/passwd', '..', 'ünï/☂']) {
      expect((await ann.upload('box', name, Buffer.from(name))).status).toBe(200)
      const place = `container=box&blob=${encodeURIComponent(name)}`
      expect((await ann.json('GET', `/download?${place}`)).text).toBe(name)
    }
  })

  it('put by the older form come whole or not at all', async () => {
    await using at = await open()
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    const put = (fields: Record<string, string | Uint8Array>) =>
      ask(at.url, '/put_data', {
        ...form({ user_id: '7', container_name: 'box', blob_name: 'f.bin', ...fields }),
        token: ann.token,
      })
    const chunks = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`chunk_${n}`, Buffer.from(`${n},`)]))
    const size = Object.values(chunks).reduce((sum, { length }) => sum + length, 0)
    const done = await put({ blob_size: String(size), ...chunks })
    expect([done.status, done.json]).toEqual([200, { blob_path: 'box/f.bin', status: 'success' }])
    expect(assembled(await ann.json('GET', '/get_data?container=box&blob=f.bin')).toString()).toBe(
      '0,1,2,3,4,5,6,7,8,9,10,11,',
    )
    expect((await put({ blob_size: '5', chunk_0: Buffer.from('four') })).status).toBe(400)
    expect((await put({ blob_size: '4', chunk_1: Buffer.from('four') })).status).toBe(400)
    expect((await put({ blob_name: 'none', blob_size: '0' })).status).toBe(200)
    expect((await put({ container_name: 'other', blob_size: '0' })).status).toBe(404)
    expect((await ask(at.url, '/put_data', form({ container_name: 'box' }))).json).toEqual({
      error: 'Token is missing',
    })
    expect((await ann.json('DELETE', '/delete_data', { container_name: 'box', blob_name: 'f.bin' })).status).toBe(200)
    expect((await ann.json('DELETE', '/delete_data?container=box&blob=none')).status).toBe(200)
    expect((await ann.json('GET', '/list_blobs?container=box')).json).toEqual({ blobs: [] })
  })

  it('whose parts are no parts are refused', async () => {
    await using at = await open()
    const send = (body: string, type = 'multipart/form-data; boundary=b') =>
      ask(at.url, '/upload-part', { method: 'POST', body, headers: { 'content-type': type } })
    const none = await send('--b\r\nContent-Disposition: form-data; name="upload_id"\r\n\r\nx\r\n--b--\r\n')
    expect([none.status, none.json]).toEqual([400, { status: 'failure', error: 'No file part in the request' }])
    for (const [body, type] of [
      ['', undefined],
      ['--b', undefined],
      ['--b\r\n', undefined],
      ['--b\r\nx\r\n\r\n', undefined],
      ['--bx\r\n\r\n--b--', undefined],
      ['--b\r\n' + 'x'.repeat(20_000), undefined],
      ['--b--', 'multipart/form-data'],
      ['--b--', 'text/plain'],
      [`--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n${'x'.repeat(5000)}\r\n--b--`, undefined],
    ] as const) {
      const { status } = await send(body, type)
      expect([body.slice(0, 20), [400, 413].includes(status)]).toEqual([body.slice(0, 20), true])
    }
    const file = await ask(at.url, '/upload-part', form({ file: Buffer.alloc(16 * MiB + 1), ...partFields('x', '0') }))
    expect(file.status).toBe(413)
  })

  it('travel by curl as the clients send them', async () => {
    await using at = await open()
    const curl = async (...args: string[]) => (await promisify(execFile)('curl', ['-sS', ...args])).stdout
    const post = (path: string, value: unknown, ...more: string[]) =>
      curl('-H', 'Content-Type: application/json', '-d', JSON.stringify(value), ...more, `${at.url}${path}`)
    await post('/signup', account('ann'))
    const { token } = JSON.parse(await post('/login', account('ann'))) as { token: string }
    const auth = ['-H', `Authorization: Bearer ${token}`]
    expect(await post('/create_container', { container_name: 'box' }, ...auth)).toBe('{"status":"success"}')
    const file = { container_name: 'box', file_name: 'f', file_size: 5, chunk_size: 3 }
    const { blob_id, chunk_info } = JSON.parse(await post('/initiate-upload', file, ...auth))
    expect(chunk_info).toEqual({ 0: { data_node: 'blobs:0', replicas: [] }, 1: { data_node: 'blobs:0', replicas: [] } })
    for (const [number, text] of [
      ['0', 'hel'],
      ['1', 'lo'],
    ] as const) {
      const fields = ['-F', `file=${text};filename=c;type=application/octet-stream`, '-F', `upload_id=${blob_id}`]
      const more = ['-F', `part_number=${number}`, '-F', 'data_node=169.254.169.254:80']
      expect(await curl(...fields, ...more, `${at.url}/upload-part`)).toBe('{"status":"success"}')
    }
    await post('/complete-upload', { blob_id }, ...auth)
    expect(await curl(...auth, `${at.url}/download?container=box&blob=f`)).toBe('hello')
  })

  it('do not keep a server from stopping, and leave nothing behind', async () => {
    const at = await open({ bounds: { stop: 300 } })
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    const file = { container_name: 'box', file_name: 'g', file_size: 2, chunk_size: 1 }
    const { blob_id } = (await ann.json('POST', '/initiate-upload', file)).json
    await ask(at.url, '/upload-part', form({ ...partFields(blob_id, '0'), file: Buffer.from('x') }))
    const { socket, all } = await raw(at.url)
    const head = [
      'POST /put_data HTTP/1.1',
      'Host: localhost',
      `Authorization: Bearer ${ann.token}`,
      'Content-Length: 99999',
    ]
    socket.write(`${[...head, 'Content-Type: multipart/form-data; boundary=b'].join('\r\n')}\r\n\r\n--b\r\nContent-`)
    await new Promise((resolve) => void setTimeout(resolve, 200))
    const started = performance.now()
    await at[Symbol.asyncDispose]()
    expect(performance.now() - started).toBeLessThan(5000)
    await all
    expect(await readdir(spool)).toEqual([])
    const files = await Promise.all(
      (await readdir('/proc/self/fd').catch(() => [])).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
    )
    expect(files.filter((path) => path.startsWith(spool))).toEqual([])
  })

  it('go on after a restart, uploads do not', async () => {
    const at = await open({ on: 'disk' })
    const ann = await signedIn(at, 'ann')
    await ann.json('POST', '/create_container', { container_name: 'box' })
    await ann.upload('box', 'f', Buffer.from('kept'))
    const { json } = await ann.json('POST', '/initiate-upload', { container_name: 'box', file_name: 'g', file_size: 1 })
    await at.server.close()
    await using next = await running({
      faces: [{ name: 'containers', signUp: 'this machine', spool }],
      buckets: at.buckets,
      secrets: SECRETS,
    })
    const again = client(next, ann.token)
    expect((await again.json('GET', '/download?container=box&blob=f')).text).toBe('kept')
    expect((await again.json('POST', '/complete-upload', { blob_id: json.blob_id })).status).toBe(404)
  })
})
