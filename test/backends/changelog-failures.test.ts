import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { changelog } from '../../src/backends/changelog/driver.ts'
import { BrokenList, readRows } from '../../src/backends/changelog/rows.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'
import { type ChangelogServer, startChangelogServer, STORE } from '../doubles/changelog-server.ts'
import { collect } from '../store/acts.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'

let server: ChangelogServer
let home: string
let opened: Backend[]
let warnings: string[]
beforeEach(async () => {
  server = await startChangelogServer({ generation: 1 })
  home = mkdtempSync(join(tmpdir(), 'blobs-changelog-'))
  ;[opened, warnings] = [[], []]
})
afterEach(async () => {
  for (const backend of opened) await backend.close()
  await server.stop()
  rmSync(home, { recursive: true })
})

async function open(machine = 'one', path = '', url = server.url): Promise<Backend> {
  const backend = await changelog.open(splitPlace(url.replace('http', 'changelog+http') + path), {
    clock,
    ids,
    env: {},
    token: async () => null,
    proxyFor: () => null,
    cacheDirectory: join(home, machine),
    stateDirectory: join(home, machine),
    singleWriter: false,
    warn: (message) => warnings.push(message),
  })
  opened.push(backend)
  return backend
}
async function bucket(machine?: string): Promise<BucketPorts> {
  const backend = await open(machine)
  await backend.create('team')
  return present(await backend.open('team'))
}

/** Calls as another program does. */
function call(
  method: string,
  path: string,
  body: unknown,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const text = Buffer.from(JSON.stringify(body))
    const headers = { 'content-type': 'application/json', 'content-length': text.length }
    const sent = request(server.url + path, { method, headers }, (response) => {
      const parts: Buffer[] = []
      response.on('data', (part: Buffer) => parts.push(part))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(parts).toString() }))
    })
    sent.on('error', reject)
    sent.end(text)
  })
}
interface TestRow {
  readonly id: number
  readonly key: string
  readonly value: string
}
const rowsNow = async (): Promise<readonly TestRow[]> =>
  JSON.parse((await call('GET', '/changes', { after: 0 })).text) as readonly TestRow[]

describe('the double of the server', () => {
  it('tells changes by a body alone, and no value of a key that is there twice, or was deleted', async () => {
    await call('POST', '/add', { key: 'a', value: 'one' })
    expect(await call('GET', '/get', { key: 'a' })).toEqual({ status: 200, text: 'one' })
    expect(await call('GET', '/changes?after=0', {})).toEqual({ status: 200, text: '[]' })
    await call('POST', '/add', { key: 'a', value: 'two' })
    expect(await call('GET', '/get', { key: 'a' })).toEqual({ status: 400, text: '' })
    await call('POST', '/delete', { key: 'b' })
    expect((await rowsNow()).map(({ key, value }) => [key, value])).toEqual([
      ['a', 'one'],
      ['a', 'two'],
      ['b', null],
    ])
  })
  it('takes no body over 100 kB, and makes text of what is none', async () => {
    expect((await call('POST', '/add', { key: 'a', value: 'x'.repeat(102_400) })).status).toBe(413)
    await call('POST', '/add', { key: 'a', value: {} })
    expect((await call('GET', '/get', { key: 'a' })).text).toBe('[object Object]')
  })
})

describe('a bucket in a change log', () => {
  it('appends once where the answer is lost', async () => {
    const { log, content } = await bucket()
    server.loseNextAnswer()
    const [added] = entries(1)
    expect(await log.append([present(added)])).toEqual([1])
    expect((await readAll(log)).map(({ id }) => id)).toEqual([added?.id])
    const chunk = someChunk(300)
    server.loseNextAnswer()
    await content.put([chunk])
    expect((await (await bucket('two')).content.get([chunk.hash]))[0]).toEqual(Uint8Array.from(chunk.bytes))
  })
  it('reads what was sent twice, or deleted by others, and passes over what is none of it, or damaged', async () => {
    const one = await bucket()
    const chunks = [someChunk(60_000), someChunk(200_000), someChunk(0)]
    await one.content.put(chunks)
    await one.log.append(entries(2))
    for (const { key, value } of await rowsNow()) {
      await call('POST', '/add', { key, value })
      await call('POST', '/delete', { key })
      await call('POST', '/add', {
        key: key.replace(/[0-9a-f]{32}$/, ids.next()),
        value: `${value.slice(0, -8)}AAAAAAA=`,
      })
    }
    await call('POST', '/add', { key: 'of another program', value: '"]}\\' })
    await one.log.append(entries(1))
    const two = await bucket('two')
    const found = await two.content.get(chunks.map(({ hash }) => hash))
    expect(found.map((bytes) => bytes && Buffer.from(bytes).toString('hex').slice(0, 40))).toEqual(
      chunks.map(({ bytes }) => Buffer.from(bytes).toString('hex').slice(0, 40)),
    )
    expect((await readAll(two.log)).map(({ position }) => position)).toEqual([1, 2, 3])
    expect(await readAll(two.log)).toEqual(await readAll(one.log))
  })
  it('notices a server that went back in time, and reads it anew', async () => {
    const one = await bucket()
    await one.log.append(entries(1))
    const rows = server.rows()
    await one.log.append(entries(2))
    server.goBackTo(rows + 1)
    await (await bucket('two')).log.append(entries(3))
    expect(await readAll(one.log)).toHaveLength(4)
    expect(warnings.join()).toMatch(/went back in time/)
    expect(await readAll(one.log)).toEqual(await readAll((await bucket('three')).log))
  })
  it('needs nothing of what it keeps on this machine', async () => {
    const one = await bucket()
    const chunk = someChunk(100_000)
    await one.content.put([chunk])
    await one.log.append(entries(3))
    for (const backend of opened) await backend.close()
    rmSync(join(home, 'one'), { recursive: true })
    const again = present(await (await open()).open('team'))
    expect(await readAll(again.log)).toHaveLength(3)
    expect((await again.content.get([chunk.hash]))[0]?.length).toBe(100_000)
    for (const backend of opened) await backend.close()
    writeFileSync(join(home, 'one', 'index.db'), 'something else '.repeat(1000))
    expect(await (await open()).names()).toEqual(['team'])
  })
  it('tells which store is not there, and what is no change log', async () => {
    await using later = Object.assign(await startChangelogServer({ generation: 2 }), {
      [Symbol.asyncDispose]: (): Promise<void> => later.stop(),
    })
    expect(await (await open('a', `/${STORE}`, later.url)).names()).toEqual([])
    await expect((await open('b', '/Other', later.url)).names()).rejects.toMatchObject({ code: 'NotFound' })
    await expect((await open('c', '', later.url)).names()).rejects.toMatchObject({ code: 'InvalidRequest' })
    await expect(open('d', '/a/b')).rejects.toMatchObject({ code: 'InvalidRequest' })
    const none = await open('e')
    await server.stop()
    await expect(none.names()).rejects.toMatchObject({ code: 'Unavailable' })
    server = await startChangelogServer({ generation: 1 })
  })
})

describe('a list in JSON that comes in pieces', () => {
  const pieces = async function* (text: string, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
    const bytes = Buffer.from(text)
    const ends = [...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort((a, b) => a - b)
    for (const [index, end] of ends.entries()) yield bytes.subarray(ends[index - 1] ?? 0, end)
  }
  it('gives its objects, wherever it is cut', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(fc.string(), fc.jsonValue())), fc.array(fc.nat()), async (rows, cuts) => {
        const list = JSON.stringify(rows)
        expect((await collect(readRows(pieces(list, cuts)))).flat()).toEqual(JSON.parse(list))
      }),
    ))
  it('is broken when it does not end', () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.dictionary(fc.string(), fc.string())), fc.nat(), async (rows, cut) => {
        const list = JSON.stringify(rows)
        await expect(collect(readRows(pieces(list.slice(0, cut % list.length), [])))).rejects.toThrow(BrokenList)
      }),
    ))
})
