import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import { startContainersServer, type ContainersServer } from '../doubles/containers-server.ts'
import { bytesOf, collect, put, remove, textOf } from '../store/acts.ts'
import { bucketsAt } from './driver/open.ts'

const PASSWORD = 'a password'
let server: ContainersServer
let buckets: Buckets
let store: BlobStore
const opened: Buckets[] = []
const env = { BLOBS_USER: 'ann', BLOBS_PASSWORD: PASSWORD }
async function open(
  more: Readonly<Record<string, string>> = env,
  options = '?single-writer=',
  home?: string,
): Promise<Buckets> {
  const one = await bucketsAt(`containers+${server.url}${options}`, { env: more }, home)
  opened.push(one)
  return one
}
beforeEach(async () => {
  server = await startContainersServer()
  server.signUp('ann', PASSWORD)
  server.signUp('bob', PASSWORD)
  buckets = await open()
  await buckets.create('box')
  store = await buckets.open('box')
})
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
  await server.stop()
})

const names = (): string[] => server.blobs.filter(({ status }) => status !== 'deleted').map(({ name }) => name)
/** As a machine that was never there before sees it. */
const elsewhere = async (): Promise<BlobStore> => (await open()).open('box')

describe('names there', () => {
  it('are used once, and say key, version, hash and what they replace', async () => {
    await put(store, 'notes/a.txt', 'one')
    await put(store, 'notes/a.txt', 'two')
    expect(names()).toEqual([expect.stringMatching(/^notes\/a\.txt~v2~3fc4ccfe745870e2c0d99f71f30ff065~[0-9a-f]{12}$/)])
    expect(server.blobs).toHaveLength(2)
    expect(await textOf(await elsewhere(), 'notes/a.txt')).toBe('two')
  })

  it('of others are keys as they are, and are replaced and deleted without touching them', async () => {
    server.storeAs('ann', 'box', 'plain.txt', Buffer.from('by their client'))
    expect(await textOf(store, 'plain.txt')).toBe('by their client')
    await put(store, 'plain.txt', 'by us')
    expect(names()).toEqual(['plain.txt', expect.stringMatching(/^plain\.txt~v1~[0-9a-f]{32}~[0-9a-f]{12}~over~/)])
    expect(await textOf(await elsewhere(), 'plain.txt')).toBe('by us')
    await remove(store, 'plain.txt')
    expect(names()).toEqual(['plain.txt', expect.stringMatching(/^plain\.txt~v2~gone~[0-9a-f]{12}~over~/)])
    expect(await (await elsewhere()).head('plain.txt')).toBeNull()
    await put(store, 'plain.txt', 'again')
    expect(await textOf(await elsewhere(), 'plain.txt')).toBe('again')
  })

  it('of others that come after ours are newer', async () => {
    await put(store, 'k', 'ours')
    server.storeAs('ann', 'box', 'k', Buffer.from('theirs, later'))
    expect(await textOf(await elsewhere(), 'k')).toBe('theirs, later')
    await expect.poll(() => textOf(store, 'k'), { timeout: 5000 }).toBe('theirs, later')
  })

  it('that were given to several blobs are told, and ours stays', async () => {
    server.storeAs('ann', 'box', 'k', Buffer.from('first'))
    expect(await textOf(store, 'k')).toBe('first')
    await put(store, 'k', 'ours')
    server.storeAs('ann', 'box', 'k', Buffer.from('second, which nobody can read'))
    expect(await textOf(store, 'k')).toBe('ours')
    expect(await textOf(await elsewhere(), 'k')).toBe('ours')
  })

  it('have room for 255 characters: a key that is too long is refused before anything is written', async () => {
    await put(store, 'é'.repeat(180), 'fits')
    await expect(put(store, 'é'.repeat(200), 'x')).rejects.toMatchObject({ code: 'InvalidKey' })
    expect(server.blobs).toHaveLength(1)
  })
})

describe('its bugs', () => {
  it('a delete hits a name in every container of every user: none of theirs is ever deleted by us', async () => {
    const bob = await open({ BLOBS_USER: 'bob', BLOBS_PASSWORD: PASSWORD })
    await bob.create('box')
    server.storeAs('bob', 'box', 'k', Buffer.from("bob's"))
    server.storeAs('ann', 'box', 'k', Buffer.from("ann's"))
    const bobs = await bob.open('box')
    expect(await textOf(bobs, 'k')).toBe("bob's")
    await remove(store, 'k')
    await put(store, 'same', 'same')
    await put(bobs, 'same', 'same')
    await remove(store, 'same')
    expect(await textOf(bobs, 'k')).toBe("bob's")
    expect(await textOf(bobs, 'same')).toBe('same')
    // And so it would be without that care.
    const plain = await fetch(`${server.url}/delete-blob?container=box&blob=k`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${await tokenOf('ann')}` },
    })
    expect(plain.status).toBe(200)
    expect(await (await (await open({ BLOBS_USER: 'bob', BLOBS_PASSWORD: PASSWORD })).open('box')).head('k')).toBeNull()
  })

  it('chunks come sorted as texts: a blob of many comes back in order, and one that is empty, too', async () => {
    const large = randomBytes(12 * 1024 * 1024 + 5)
    await put(store, 'large', large)
    await put(store, 'empty', '')
    const answer = await fetch(`${server.url}/get_data?container=box&blob=${encodeURIComponent(names()[0] ?? '')}`, {
      headers: { authorization: `Bearer ${await tokenOf('ann')}` },
    })
    expect(Array.from((await answer.text()).matchAll(/"(\d+)": \{/g), ([, index]) => index)).toEqual([
      '0',
      '1',
      '10',
      '11',
      '12',
      '2',
      '3',
      '4',
      '5',
      '6',
      '7',
      '8',
      '9',
    ])
    const other = await elsewhere()
    expect((await bytesOf(other, 'large'))?.equals(large)).toBe(true)
    expect(await textOf(other, 'empty')).toBe('')
  })

  it('it acknowledges chunks that it did not store: what was there before stays', async () => {
    await put(store, 'k', 'stored')
    server.losesChunks = true
    const writing = open(env, '?single-writer=').then((one) => one.open('box'))
    const failing = put(await writing, 'k', 'lost')
    setTimeout(() => (server.losesChunks = false), 300)
    expect((await failing).size).toBe(4)
    expect(await textOf(await elsewhere(), 'k')).toBe('lost')
  })

  it('a failing database looks like an empty list: that is no delete', async () => {
    await put(store, 'k', 'there')
    server.databaseFails = Infinity
    const other = await open()
    await expect(other.open('box')).rejects.toMatchObject({ code: 'NotFound' })
    await expect
      .poll(() => store.info().catch((error: unknown) => error), { timeout: 5000 })
      .toMatchObject({ code: 'NotFound' })
    server.databaseFails = 0
    expect(await textOf(store, 'k')).toBe('there')
    server.databaseFails = 1
    expect((await collect((await open()).list())).map(({ name }) => name)).toEqual([])
    const once = await open()
    const opened = await once.open('box')
    server.databaseFails = 1
    expect(await textOf(opened, 'k')).toBe('there')
    expect((await collect(store.changes({}))).filter(({ type }) => type === 'delete')).toEqual([])
  })

  it('uploads under way are listed: they are not taken for whole, and hide nothing', async () => {
    server.storeAs('ann', 'box', 'half', randomBytes(3_000_000), { upTo: 2 })
    await put(store, 'k', 'whole')
    const name = names().find((one) => one.startsWith('k~')) ?? ''
    server.storeAs('ann', 'box', name.replace('~v1~', '~v2~'), randomBytes(2_000_000), { upTo: 1 })
    const other = await elsewhere()
    expect(await other.head('half')).toBeNull()
    expect(await textOf(other, 'k')).toBe('whole')
    // The next version takes its place, and clears it up.
    await put(store, 'k', 'next')
    expect(await textOf(await elsewhere(), 'k')).toBe('next')
    expect(names().filter((one) => one.startsWith('k~'))).toEqual([expect.stringContaining('k~v3~')])
  })

  it('a container is removed by its name alone, and never made again', async () => {
    await buckets.create('once')
    await buckets.remove('once')
    await expect(buckets.create('once')).rejects.toMatchObject({ code: 'Refused' })
    const bob = await open({ BLOBS_USER: 'bob', BLOBS_PASSWORD: PASSWORD })
    await bob.create('box')
    await expect(buckets.remove('box')).rejects.toMatchObject({ code: 'Refused' })
    await expect(buckets.remove('nothing')).rejects.toMatchObject({ code: 'NotFound' })
  })
})

describe('signing in', () => {
  it('happens again when the token is over, with a name or an address', async () => {
    const its = await (await open({ BLOBS_USER: 'ann@example.org', BLOBS_PASSWORD: PASSWORD })).open('box')
    await put(its, 'a', '1')
    server.expireTokens()
    await put(its, 'a', '2')
    server.expireTokens()
    expect(await textOf(its, 'a')).toBe('2')
    expect(server.requests.filter((request) => request === 'POST /login').length).toBeGreaterThan(1)
  })

  it('fails clearly, and tells no secret', async () => {
    for (const wrong of [{}, { BLOBS_USER: 'ann', BLOBS_PASSWORD: 'wrong' }, { BLOBS_TOKEN: 'not.a.token' }]) {
      const error: unknown = await open(wrong)
        .then((one) => one.open('box'))
        .catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'Unauthenticated', hint: expect.stringContaining('BLOBS_PASSWORD') })
      expect(JSON.stringify(error)).not.toMatch(/wrong|not\.a\.token/)
    }
  })

  it('is spared by a token of the server', async () => {
    const token = await tokenOf('ann')
    const before = server.requests.filter((request) => request === 'POST /login').length
    await put(store, 'k', 'x')
    expect(await textOf(await (await open({ BLOBS_TOKEN: token })).open('box'), 'k')).toBe('x')
    expect(server.requests.filter((request) => request === 'POST /login').length).toBe(before)
  })
})

it('an upload that is cut short leaves the old version standing, here and elsewhere', async () => {
  const home = mkdtempSync(join(tmpdir(), 'blobs-machine-'))
  const writer = await (await open(env, '?single-writer=', home)).open('box')
  await put(writer, 'k', 'old')
  let parts = 0
  server.trouble = (request) => (request === 'POST /upload-part' && ++parts > 1 ? 500 : null)
  const failed = put(writer, 'k', randomBytes(3_000_000)).catch((error: unknown) => error)
  await new Promise((resolve) => setTimeout(resolve, 500))
  expect(await textOf(await elsewhere(), 'k')).toBe('old')
  server.trouble = () => null
  await failed
})

it('a server of another kind is told from one that is out of order', async () => {
  server.trouble = () => 404
  await expect((await open()).open('box')).rejects.toMatchObject({ code: 'NotSupported' })
  server.trouble = () => 502
  await expect((await open()).open('box')).rejects.toMatchObject({ code: 'Unavailable' })
  server.trouble = () => null
  server.dataNodes.length = 0
  const failing = put(await (await open()).open('box'), 'k', 'x')
  setTimeout(() => server.dataNodes.push('data_node1:9001'), 100)
  expect((await failing).version).toBe(1)
})

it.each([
  ['containers+http://', 'names no server'],
  ['containers+http://localhost:1?chunk=5', 'no option chunk'],
])('refuses %s', async (url, message) => {
  await expect(bucketsAt(url, { env })).rejects.toThrow(message)
})

async function tokenOf(user: string): Promise<string> {
  const answer = await fetch(`${server.url}/login`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ username: user, email: '', password: PASSWORD }),
  })
  return ((await answer.json()) as { token: string }).token
}
