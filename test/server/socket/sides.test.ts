import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLocal } from '../../../src/backends/local/local.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import { openBuckets } from '../../../src/store/buckets.ts'
import type { Buckets } from '../../../src/store/contract/blob-store.ts'
import { stageStream } from '../../../src/store/contract/upload.ts'
import { ask, type Reply, type Running, running } from '../running.ts'
import { type Client, connect } from './client.ts'

/** Two processes' worth of one data directory: one serves, the other writes beside it as the command line does. */
let directory: string
let served: Buckets
let beside: Buckets
let at: Running
const newRef = (): string => randomBytes(32).toString('hex')

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-sides-'))
  const place = async (): Promise<Buckets> =>
    openBuckets({ backend: await openLocal({ directory, clock }), clock, ids })
  served = await place()
  beside = await place()
  at = await running({ buckets: served })
})
afterAll(async () => {
  await at[Symbol.asyncDispose]()
  await beside.close()
  await rm(directory, { recursive: true })
})

async function follow(bucket: string, ref: string, request: object = {}): Promise<Client> {
  const client = await connect(at.url, await at.token({ bucket, ...request }))
  expect(await client.ask('ref', ref)).toEqual([])
  return client
}
async function v1(method: string, path: string, body?: string | Uint8Array, headers = {}): Promise<Reply> {
  const token = await at.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'] })
  return ask(at.url, `/v1/buckets/${path}`, { method, token, headers, ...(body === undefined ? {} : { body }) })
}
async function putBeside(bucket: string, key: string, text: string): Promise<void> {
  const store = await beside.open(bucket)
  const source = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(text)
  }
  const staged = await stageStream(store, source())
  const put = { type: 'put', key, expect: 'any', contentType: 'text/plain', meta: {}, ...staged } as const
  await store.commit([{ id: ids.next(), changes: [put] }])
  await store.close()
}

describe('one log for all sides', () => {
  it('what is set is a version of /v1, with the name of the token as its author', async () => {
    const ref = newRef()
    using client = await follow('one', ref, { name: 'split' })
    await client.ask('set', { data: Buffer.from('first').toString('base64') })
    await client.ask('set', { data: Buffer.from('second').toString('base64'), version: 1 })
    const now = await v1('GET', `one/blobs/${ref}`)
    expect([now.text, now.headers['x-blobs-version'], now.headers['x-blobs-author']]).toEqual(['second', '2', 'split'])
    expect((await v1('GET', `one/blobs/${ref}?version=1`)).text).toBe('first')
  })

  it('what /v1 puts and deletes is told, and read', async () => {
    const ref = newRef()
    await served.create('two')
    using client = await follow('two', ref)
    await v1('PUT', `two/blobs/${ref}`, 'from v1')
    await client.changed(1)
    expect(await client.ask('get', {})).toEqual([{ data: Buffer.from('from v1').toString('base64'), version: 1 }])
    await v1('DELETE', `two/blobs/${ref}`)
    await client.changed(2)
    expect(await client.ask('get', { known: 1 })).toEqual([null])
    expect(await client.ask('set', { data: 'aGk=', version: 1 })).toEqual([{ success: true, version: 3 }])
    expect((await v1('PUT', `two/blobs/${ref}`, 'late', { 'if-match': '"1"' })).status).toBe(412)
    await v1('PUT', `two/blobs/other`, 'not followed')
    await client.ask('now')
    expect(client.changes()).toBe(2)
  })

  it('what another process writes is told', async () => {
    const ref = newRef()
    await served.create('three')
    using client = await follow('three', ref)
    for (let version = 1; version <= 3; version++) {
      await putBeside('three', ref, `${version}`)
      await client.changed(version)
      expect(await client.ask('get', {})).toEqual([{ data: Buffer.from(`${version}`).toString('base64'), version }])
    }
  })

  it('a bucket comes into being with the first set, and those who waited for it are told', async () => {
    const ref = newRef()
    using reader = await follow('four', ref, { can: ['read'] })
    using writer = await follow('four', ref)
    expect(await reader.ask('get', {})).toEqual([null])
    await writer.ask('set', { data: 'aGk=' })
    await reader.changed(1)
    await writer.ask('set', { data: 'aGk=', version: 1 })
    await reader.changed(2)
    expect([writer.changes(), reader.changes()]).toEqual([0, 2])
  })

  it('a bucket that another process makes, removes and makes again is followed on', async () => {
    const ref = newRef()
    using client = await follow('five', ref)
    await beside.create('five')
    await putBeside('five', ref, 'one')
    await client.changed(1)
    await beside.remove('five')
    await client.changed(2)
    expect(await client.ask('get', { known: 1 })).toEqual([null])
    await beside.create('five')
    await putBeside('five', ref, 'two')
    await client.changed(3)
    expect(await client.ask('get', {})).toEqual([{ data: Buffer.from('two').toString('base64'), version: 1 }])
  })

  it('a blob that is larger than a packet is not told, and not replaced unseen', async () => {
    const ref = newRef()
    using client = await follow('one', ref)
    await v1('PUT', `one/blobs/${ref}`, Buffer.alloc(750_001))
    const problem = [{ error: `one/${ref} has 750001 bytes, more than this protocol carries` }]
    expect(await client.ask('get', {})).toEqual(problem)
    expect(await client.ask('set', { data: 'aGk=', version: 7 })).toEqual(problem)
    await v1('PUT', `one/blobs/${ref}`, Buffer.alloc(750_000))
    expect(await client.ask('get', {})).toEqual([{ data: 'A'.repeat(1_000_000), version: 2 }])
  })

  it('an empty blob has no data', async () => {
    const ref = newRef()
    using client = await follow('one', ref)
    await v1('PUT', `one/blobs/${ref}`, '')
    expect(await client.ask('get', {})).toEqual([{ version: 1 }])
  })

  it('a bucket keeps its limit', async () => {
    await served.create('small', { maxBlobSize: 3 })
    using client = await follow('small', newRef())
    const [answer] = await client.ask('set', { data: Buffer.from('four').toString('base64') })
    expect(answer).toEqual({ error: expect.stringMatching(/has 4 bytes; the bucket takes blobs of up to 3/) })
    expect(await client.ask('set', { data: 'aGk=' })).toEqual([{ success: true, version: 1 }])
  })
})

describe('the scope of a token', () => {
  it('a reader reads and is told, and sets nothing', async () => {
    const ref = newRef()
    using writer = await follow('one', ref)
    using reader = await follow('one', ref, { can: ['read'] })
    await writer.ask('set', { data: 'aGk=' })
    await reader.changed(1)
    expect(await reader.ask('get', {})).toEqual([{ data: 'aGk=', version: 1 }])
    expect(await reader.ask('set', { data: 'aG8=', version: 1 })).toEqual([
      { error: `this token may not write one/${ref}` },
    ])
  })

  it('a writer sets, and learns neither what stands there nor that it changes', async () => {
    const ref = newRef()
    using other = await follow('one', ref)
    using writer = await follow('one', ref, { can: ['write'] })
    expect(await writer.ask('set', { data: 'aGk=' })).toEqual([{ success: true, version: 1 }])
    expect(await writer.ask('get', {})).toEqual([{ error: `this token may not read one/${ref}` }])
    expect(await writer.ask('set', { data: 'aGk=' })).toEqual([{ success: false, version: 1 }])
    await other.ask('set', { data: 'aGk=', version: 1 })
    await writer.ask('now')
    expect(writer.changes()).toBe(0)
  })

  it('one that is confined to some blobs reaches these', async () => {
    const [ref, other] = [newRef(), newRef()]
    using client = await follow('one', ref, { prefixes: [ref, 'docs'] })
    expect(await client.ask('set', { data: 'aGk=' })).toEqual([{ success: true, version: 1 }])
    expect(await client.ask('ref', other)).toEqual([{ error: `this token may not read one/${other}` }])
    expect(await client.ask('get', {})).toEqual([{ data: 'aGk=', version: 1 }])
    using none = await connect(at.url, await at.token({ bucket: 'one', prefixes: ['docs'] }))
    expect(await none.ask('ref', ref)).toEqual([{ error: `this token may not read one/${ref}` }])
    expect(await none.ask('get', {})).toEqual([{ error: 'Reference is not provided' }])
  })
})
