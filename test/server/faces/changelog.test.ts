import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { ask, type Reply, running, type Running } from '../running.ts'
import { askJson } from './seed.ts'

const open = (): Promise<Running> => running({ faces: [{ name: 'changelog', bucket: 'log', store: 'MyStore' }] })

interface Row {
  readonly id: number
  readonly key: string
  readonly type: string
  readonly value: string | null
}
const rows = (reply: Reply): readonly Row[] => JSON.parse(reply.text) as Row[]

describe('the change log of records (seed 002), first generation', () => {
  it('answers the exchanges of the original as they were', async () => {
    await using at = await open()
    const say = (method: string, path: string, value: unknown) => askJson(at.url, method, path, value)
    const echoed = await say('POST', '/echoBody', { a: [1, 'é'] })
    expect([echoed.status, echoed.text]).toEqual([200, '{"a":[1,"é"]}'])
    for (const [key, value] of [
      ['test-key', 'test-value'],
      ['second-key', 'second-value'],
    ]) {
      const added = await say('POST', '/add', { key, value })
      expect([added.status, added.text]).toEqual([200, ''])
    }
    const got = await say('GET', '/get', { key: 'test-key' })
    expect([got.status, got.text, got.headers['content-type']]).toEqual([200, 'test-value', 'text/html; charset=utf-8'])
    const deleted = await say('POST', '/delete', { key: 'test-key' })
    expect([deleted.status, deleted.text]).toEqual([200, ''])
    const gone = await say('GET', '/get', { key: 'test-key' })
    expect([gone.status, gone.text]).toEqual([400, ''])
    const all = rows(await say('GET', '/changes', { after: 0 }))
    expect(all.map(({ key, type, value }) => ({ key, type, value }))).toEqual([
      { key: 'test-key', type: 'ADD', value: 'test-value' },
      { key: 'second-key', type: 'ADD', value: 'second-value' },
      { key: 'test-key', type: 'DELETE', value: null },
    ])
    const [first, second, third] = all.map(({ id }) => id)
    const after = await say('GET', '/changes', { after: first })
    expect(after.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(after.text).toBe(
      `[{"id":${second},"key":"second-key","type":"ADD","value":"second-value"},{"id":${third},"key":"test-key","type":"DELETE","value":null}]`,
    )
    expect((await say('GET', '/changes', { after: third })).text).toBe('[]')
  })

  it('gives rows by their number, however it is said, and none without one or by a query', async () => {
    await using at = await open()
    await askJson(at.url, 'POST', '/add', { key: 'k', value: 'v' })
    const ask1 = async (value: unknown) => rows(await askJson(at.url, 'GET', '/changes', value)).length
    for (const after of [0, -5, '0', ' 0 ', 0.5, true]) expect([after, await ask1({ after })]).toEqual([after, 1])
    for (const after of [null, undefined, 'x', '', [], {}, [0], 1e9])
      expect([after, await ask1({ after })]).toEqual([after, 0])
    expect((await ask(at.url, '/changes?after=0')).text).toBe('[]')
    expect((await ask(at.url, '/changes', { body: '{"after":0}' })).text).toBe('[]')
  })

  it('logs each adding and deleting, also of what is there or is not', async () => {
    await using at = await open()
    const say = (path: string, value: unknown) => askJson(at.url, 'POST', path, value)
    const value = async (key: string) => (await askJson(at.url, 'GET', '/get', { key })).status
    await say('/add', { key: 'twice', value: '1' })
    await say('/add', { key: 'twice', value: '2' })
    await say('/delete', { key: 'never' })
    await say('/delete', { key: 'never' })
    await say('/add', { key: 'never', value: 'now' })
    await say('/add', { key: 'again', value: '1' })
    await say('/delete', { key: 'again' })
    await say('/add', { key: 'again', value: '2' })
    await say('/add', { key: 'null' })
    const all = rows(await askJson(at.url, 'GET', '/changes', { after: 0 }))
    expect(all.map(({ key, type, value: told }) => `${type} ${key} ${told}`)).toEqual([
      'ADD twice 1',
      'ADD twice 2',
      'DELETE never null',
      'DELETE never null',
      'ADD never now',
      'ADD again 1',
      'DELETE again null',
      'ADD again 2',
      'ADD null null',
    ])
    expect(all.every(({ id }, index) => index === 0 || id > (all[index - 1]?.id ?? 0))).toBe(true)
    expect(await Promise.all(['twice', 'never', 'again', 'null'].map(value))).toEqual([400, 400, 400, 200])
  })

  it('keeps numbers as text and refuses objects, which the original spoiled', async () => {
    await using at = await open()
    expect((await askJson(at.url, 'POST', '/add', { key: 5, value: 1.5 })).status).toBe(200)
    expect((await askJson(at.url, 'GET', '/get', { key: '5' })).text).toBe('1.5')
    for (const bad of [{ key: 'k', value: {} }, { key: {}, value: 'v' }, { value: 'v' }, {}, [], { key: 'k\ud800' }]) {
      const { status, text } = await askJson(at.url, 'POST', '/add', bad)
      expect([bad, status, text]).toEqual([bad, 400, ''])
    }
    for (const text of ['', 'null', '"text"', '{', '[1']) {
      const { status } = await ask(at.url, '/add', {
        method: 'POST',
        body: text,
        headers: { 'content-type': 'application/json' },
      })
      expect([text, status]).toEqual([text, 400])
    }
  })

  it('takes 100 kB and no more', async () => {
    await using at = await open()
    const value = 'x'.repeat(102_400 - JSON.stringify({ key: 'k', value: '' }).length)
    expect((await askJson(at.url, 'POST', '/add', { key: 'k', value })).status).toBe(200)
    expect((await askJson(at.url, 'GET', '/get', { key: 'k' })).text).toBe(value)
    expect((await askJson(at.url, 'POST', '/add', { key: 'l', value: `${value}x` })).status).toBe(413)
    expect((await askJson(at.url, 'GET', '/get', { key: 'l' })).status).toBe(400)
  })

  it.each([
    '',
    '/',
    'a//b',
    '/a/',
    'a%2Fb',
    '%null',
    '%empty',
    'e\u0301',
    'naïve/ключ',
    'a\0b',
    '..',
    '../x',
    'x'.repeat(900),
  ])('has a record of the key %j', async (key) => {
    await using at = await open()
    expect((await askJson(at.url, 'POST', '/add', { key, value: `of ${key}` })).status).toBe(200)
    expect((await askJson(at.url, 'GET', '/get', { key })).text).toBe(`of ${key}`)
    expect(rows(await askJson(at.url, 'GET', '/changes', { after: 0 }))).toMatchObject([{ key, value: `of ${key}` }])
  })

  it('shows /v1 what is added, and tells what /v1 puts and deletes', async () => {
    await using at = await open()
    const token = await at.token({ bucket: 'log' })
    const v1 = (method: string, key: string, body?: string | Uint8Array) =>
      ask(at.url, `/v1/buckets/log/blobs/${key}`, { method, token, ...(body === undefined ? {} : { body }) })
    await askJson(at.url, 'POST', '/add', { key: 'ours', value: 'ä' })
    expect((await v1('GET', 'MyStore/ours')).text).toBe('ä')
    await v1('PUT', 'MyStore/theirs', 'theirs')
    await v1('PUT', 'MyStore/binary', Buffer.from([0xff, 0xfe]))
    await v1('PUT', 'MyStore/large', 'x'.repeat(1_100_000))
    await v1('PUT', 'Other/theirs', 'not of this store')
    await v1('PUT', 'loose', 'of none')
    await v1('DELETE', 'MyStore/ours')
    expect((await askJson(at.url, 'GET', '/get', { key: 'theirs' })).text).toBe('theirs')
    const told = rows(await askJson(at.url, 'GET', '/changes', { after: 0 }))
    expect(told.map(({ key, type, value }) => [key, type, value])).toEqual([
      ['ours', 'ADD', 'ä'],
      ['theirs', 'ADD', 'theirs'],
      ['ours', 'DELETE', null],
    ])
    await v1('PUT', 'MyStore/theirs', 'newer')
    const last = told.at(-1)?.id
    expect(rows(await askJson(at.url, 'GET', '/changes', { after: last }))).toMatchObject([
      { key: 'theirs', value: 'newer' },
    ])
    expect((await askJson(at.url, 'GET', '/get', { key: 'theirs' })).status).toBe(400)
  })

  it('brings two clients that follow it to the same state, in thousands of rows', async () => {
    await using at = await open()
    let after = 0
    const seen: string[] = []
    const pull = async () => {
      for (const { id, key } of rows(await askJson(at.url, 'GET', '/changes', { after }))) {
        after = id
        seen.push(key)
      }
    }
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 150 }, (_, index) =>
          askJson(at.url, 'POST', '/add', { key: `${round}-${index}`, value: 'v' }),
        ),
      )
      await pull()
      await pull()
    }
    expect(seen.length).toBe(600)
    expect(new Set(seen).size).toBe(600)
    const whole = rows(await askJson(at.url, 'GET', '/changes', { after: 0 }))
    expect(whole.map(({ key }) => key)).toEqual(seen)
  })

  it('is driven by curl as its clients are', async () => {
    await using at = await open()
    const curl = async (...args: string[]) =>
      (await promisify(execFile)('curl', ['-sS', '-H', 'Content-Type: application/json', ...args])).stdout
    expect(await curl('-d', '{"key":"k","value":"v"}', `${at.url}/add`)).toBe('')
    expect(await curl('-X', 'GET', '-d', '{"key":"k"}', `${at.url}/get`)).toBe('v')
    expect(await curl('-X', 'GET', '-d', '{"after":0}', `${at.url}/changes`)).toMatch(
      /^\[\{"id":\d+,"key":"k","type":"ADD","value":"v"\}\]$/,
    )
  })
})

describe('the change log of records, second generation', () => {
  it('has named stores and index values', async () => {
    await using at = await open()
    const say = (path: string, value: unknown) => askJson(at.url, 'POST', path, value)
    await say('/addStoreRecord', { storeName: 'a', key: 'k1', value: 'v1' })
    await say('/addStoreRecord', { storeName: 'a', key: 'k2', index_values: ['x', 'y'], value: 'v2' })
    await say('/addStoreRecord', { storeName: 'b/c', key: 'k1', value: 'other' })
    await say('/deleteStoreRecord', { storeName: 'a', key: 'k1' })
    expect((await say('/getStoreRecordValue', { storeName: 'a', key: 'k2' })).text).toBe('v2')
    expect((await say('/getStoreRecordValue', { storeName: 'b/c', key: 'k1' })).text).toBe('other')
    expect((await say('/getStoreRecordValue', { storeName: 'a', key: 'k1' })).status).toBe(400)
    const all = JSON.parse((await say('/getStoreChanges', { storeName: 'a', after: 0 })).text) as Record<
      string,
      unknown
    >[]
    expect(all.map(({ change_id: _id, ...row }) => row)).toEqual([
      { change_type: 'ADD', record_key: 'k1', index_values: [], record_value: 'v1' },
      { change_type: 'ADD', record_key: 'k2', index_values: ['x', 'y'], record_value: 'v2' },
      { change_type: 'DELETE', record_key: 'k1', index_values: [], record_value: null },
    ])
    const { text } = await say('/getStoreChanges', { storeName: 'a', after: all[0]?.['change_id'] })
    expect(text).toBe(JSON.stringify(all.slice(1)))
    expect((await say('/getStoreChanges', { storeName: 'none', after: 0 })).text).toBe('[]')
    for (const bad of [
      { key: 'k', value: 'v' },
      { storeName: '', key: 'k' },
      { storeName: {}, key: 'k' },
    ]) {
      expect((await say('/addStoreRecord', bad)).status).toBe(400)
    }
  })
})
