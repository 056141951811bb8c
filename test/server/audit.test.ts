import { afterAll, beforeAll, expect, it } from 'vitest'
import { mintToken } from '../../src/access/tokens.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { connect } from './socket/client.ts'
import { ask, newId, raw, type Running, running, SECRETS } from './running.ts'

let at: Running
const lines: string[] = []
const B = '/v1/buckets/team'
const id = '0123456789abcdef0123456789abcdef'
let token: string

beforeAll(async () => {
  at = await running({ audit: (line) => lines.push(line) })
  token = await mintToken(
    { bucket: 'team', name: 'Zoë\n{"who":"root"}\u2028\u001b[2J\u009b', can: ['read', 'write', 'delete', 'admin'] },
    SECRETS,
    { now: clock.now(), id },
  )
})
afterAll(() => at[Symbol.asyncDispose]())

/** What the audit log says of what is done meanwhile. */
async function told(act: () => Promise<unknown>): Promise<Record<string, unknown>[]> {
  const before = lines.length
  await act()
  await expect.poll(() => lines.length).toBeGreaterThan(before)
  return lines.slice(before).map((line) => {
    const { time, address, ms, ...rest } = JSON.parse(line) as Record<string, unknown>
    expect([time, address, ms]).toEqual([expect.stringMatching(/^\d{4}-.*Z$/), '127.0.0.1', expect.any(Number)])
    return rest
  })
}
const by = { who: 'Zoë\n{"who":"root"}\u2028\u001b[2J\u009b', token: id }
const call = (method: string, path: string, more: object = {}) => ask(at.url, path, { method, token, ...more })
const empty = {
  type: 'put',
  expect: 'any',
  contentType: 'a/b',
  meta: {},
  size: 0,
  body: { depth: 0, refs: [] },
  hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
}

it('says who did what to which version, and how it ended', async () => {
  expect(await told(() => call('PUT', `${B}/blobs/a%0Ab`, { body: 'x' }))).toEqual([
    { ...by, action: 'bucket.create', bucket: 'team', result: 'ok' },
    { ...by, action: 'put', bucket: 'team', key: 'a\nb', version: 1, result: 'ok' },
  ])
  expect(await told(() => call('GET', `${B}/blobs/a%0Ab`))).toEqual([
    { ...by, action: 'get', bucket: 'team', key: 'a\nb', version: 1, result: 'ok' },
  ])
  const stale = { body: 'y', headers: { 'if-match': '"7"' } }
  expect(await told(() => call('PUT', `${B}/blobs/a%0Ab`, stale))).toEqual([
    { ...by, action: 'put', bucket: 'team', key: 'a\nb', result: 'VersionConflict' },
  ])
  expect(await told(() => call('DELETE', `${B}/blobs/a%0Ab`))).toEqual([
    { ...by, action: 'delete', bucket: 'team', key: 'a\nb', version: 2, result: 'ok' },
  ])
  expect(await told(() => call('GET', `${B}/blobs/never`))).toEqual([
    { ...by, action: 'get', bucket: 'team', key: 'never', result: 'NotFound' },
  ])
  expect(await told(() => call('GET', '/v1/buckets/other/blobs/x'))).toEqual([
    { ...by, action: 'get', bucket: 'other', key: 'x', result: 'Forbidden' },
  ])
})

it('tells every change of a commit, and every blob of a fetch', async () => {
  const entries = [
    {
      id: newId(),
      changes: [
        { ...empty, key: 'c/1' },
        { ...empty, key: 'c/2' },
      ],
    },
    { id: newId(), changes: [{ type: 'delete', key: 'c/1', expect: { version: 9 } }] },
  ]
  expect(await told(() => call('POST', `${B}/commit`, { body: JSON.stringify({ entries }) }))).toEqual([
    { ...by, action: 'put', bucket: 'team', key: 'c/1', version: 1, result: 'ok' },
    { ...by, action: 'put', bucket: 'team', key: 'c/2', version: 1, result: 'ok' },
    { ...by, action: 'delete', bucket: 'team', key: 'c/1', result: 'VersionConflict' },
  ])
  const wants = [
    { key: 'c/1', version: 1 },
    { key: 'c/2', version: 1 },
  ]
  expect(await told(() => call('POST', `${B}/fetch`, { body: JSON.stringify({ wants }) }))).toEqual([
    { ...by, action: 'get', bucket: 'team', key: 'c/1', version: 1, result: 'ok' },
    { ...by, action: 'get', bucket: 'team', key: 'c/2', version: 1, result: 'ok' },
  ])
})

it('tells of tokens by their ids', async () => {
  let made = { id: '', token: '' }
  const create = async (): Promise<void> => {
    made = (await call('POST', '/v1/tokens', { body: '{"bucket":"team","name":"bob"}' })).json
  }
  expect(await told(create)).toEqual([
    { ...by, action: 'token.create', bucket: 'team', subject: made.id, result: 'ok' },
  ])
  expect(await told(() => call('POST', '/v1/tokens/revoke', { body: JSON.stringify({ ids: [made.id] }) }))).toEqual([
    { ...by, action: 'token.revoke', subject: made.id, result: 'ok' },
  ])
  expect(lines.join('')).not.toContain(made.token)
})

it('tells of a connection that broke off', async () => {
  const cut = async (): Promise<void> => {
    const { socket } = await raw(at.url)
    socket.write(
      `PUT ${B}/blobs/cut HTTP/1.1\r\nhost: h\r\nauthorization: Bearer ${token}\r\ncontent-length: 100\r\n\r\nx`,
    )
    await new Promise((resolve) => setTimeout(resolve, 100))
    socket.destroy()
  }
  expect(await told(cut)).toEqual([{ ...by, action: 'put', bucket: 'team', key: 'cut', result: 'cut' }])
})

it('tells of bad tokens without what came with them, and not without end', async () => {
  const bad = (): Promise<unknown> => ask(at.url, `${B}/blobs/invented`, { token: 'eyJ-a-guess' })
  expect(await told(bad)).toEqual([{ who: '', token: '', action: 'get', result: 'Unauthenticated' }])
  const before = lines.length
  await ask(at.url, `${B}/blobs/x`)
  for (let index = 0; index < 100; index++) await bad()
  await expect.poll(() => lines.length - before).toBe(59)
})

it('tells what live clients do, as what any other does', async () => {
  const own = await mintToken({ bucket: 'live' }, SECRETS, { now: clock.now(), id })
  using client = await connect(at.url, own)
  const ref = 'a'.repeat(64)
  const did = { who: '', token: id, bucket: 'live' }
  await client.ask('ref', ref)
  expect(await told(() => client.ask('set', { data: 'aGk=' }))).toEqual([
    { ...did, action: 'bucket.create', result: 'ok' },
    { ...did, action: 'put', key: ref, version: 1, result: 'ok' },
  ])
  expect(await told(() => client.ask('get', {}))).toEqual([
    { ...did, action: 'get', key: ref, version: 1, result: 'ok' },
  ])
  expect(await told(() => client.ask('set', { data: 'aGk=', version: 7 }))).toEqual([
    { ...did, action: 'put', key: ref, version: 1, result: 'VersionConflict' },
  ])
})

it('is lines of JSON that hold no token, and cannot move a terminal', () => {
  for (const line of lines) {
    expect(line.endsWith('\n')).toBe(true)
    expect(line.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u)
    expect(Object.keys(JSON.parse(line) as object)).toEqual(
      expect.arrayContaining(['time', 'who', 'token', 'address', 'action', 'result', 'ms']),
    )
  }
  const all = lines.join('')
  for (const secret of [token, SECRETS.current, 'eyJ']) expect(all).not.toContain(secret)
})
