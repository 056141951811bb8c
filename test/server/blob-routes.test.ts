import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, type Asked, newId, type Reply, type Running, running } from './running.ts'

const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

let at: Running
let token: string
beforeAll(async () => {
  at = await running()
  token = await at.token({ name: 'Zoë' })
  await at.buckets.create('team')
})
afterAll(() => at[Symbol.asyncDispose]())

const call = (method: string, path: string, asked: Asked = {}): Promise<Reply> =>
  ask(at.url, path, { method, token, ...asked })
const put = (key: string, body: string, headers: Record<string, string> = {}): Promise<Reply> =>
  call('PUT', `/v1/buckets/team/blobs/${key}`, { body, headers })

describe('a blob', () => {
  it('is put, and read with all that is known of it', async () => {
    const made = await put('docs/%C3%A4%20b.txt', 'hello', {
      'content-type': 'text/plain',
      'x-blobs-meta-mtime': '12.5',
      'x-blobs-meta-gr%C3%B6%C3%9Fe': '%C3%BC',
      'x-blobs-device': 'laptop',
    })
    expect(made).toMatchObject({
      status: 201,
      json: { bucket: 'team', key: 'docs/ä b.txt', version: 1, size: 5, author: 'Zoë', device: 'laptop' },
    })
    const got = await call('GET', '/v1/buckets/team/blobs/docs/%C3%A4%20b.txt')
    expect(got).toMatchObject({ status: 200, text: 'hello' })
    expect(got.headers).toMatchObject({
      etag: `"1-${made.json.entry.slice(0, 16)}"`,
      'content-type': 'text/plain',
      'content-length': '5',
      'x-blobs-key': 'docs%2F%C3%A4%20b.txt',
      'x-blobs-version': '1',
      'x-blobs-sha256': sha('hello'),
      'x-blobs-meta-mtime': '12.5',
      'x-blobs-meta-gr%c3%b6%c3%9fe': '%C3%BC',
      'x-blobs-author': 'Zo%C3%AB',
      'x-content-type-options': 'nosniff',
    })
    const head = await call('HEAD', '/v1/buckets/team/blobs/docs/%C3%A4%20b.txt')
    expect(head).toMatchObject({ status: 200, text: '' })
    const { date: _date, 'x-request-id': _id, ...same } = got.headers
    expect(head.headers).toMatchObject(same)
  })

  it('is put again as the next version, and older ones stay', async () => {
    await put('again', 'one')
    expect(await put('again', 'two')).toMatchObject({ status: 200, json: { version: 2 } })
    expect(await call('GET', '/v1/buckets/team/blobs/again?version=1')).toMatchObject({ text: 'one' })
    expect(await call('GET', '/v1/buckets/team/blobs/again?version=3')).toMatchObject({
      status: 404,
      json: { code: 'NotFound', key: 'again' },
    })
  })

  it('is deleted, leaves a tombstone, and goes on counting', async () => {
    await put('gone', 'x')
    const deleted = await call('DELETE', '/v1/buckets/team/blobs/gone')
    expect(deleted).toMatchObject({ status: 204, text: '', headers: { 'x-blobs-version': '2' } })
    const missing = await call('GET', '/v1/buckets/team/blobs/gone')
    expect(missing).toMatchObject({ status: 404, json: { code: 'NotFound', key: 'gone' } })
    expect(missing.headers).toMatchObject({
      'x-blobs-deleted': 'true',
      'x-blobs-version': '2',
      'x-blobs-code': 'NotFound',
    })
    expect(await call('DELETE', '/v1/buckets/team/blobs/gone')).toMatchObject({
      status: 404,
      json: { code: 'NotFound' },
    })
    expect(await call('GET', '/v1/buckets/team/blobs/gone?version=1')).toMatchObject({ status: 200, text: 'x' })
    expect(await put('gone', 'y')).toMatchObject({ status: 200, json: { version: 3 } })
  })

  it('may be empty, of unknown length, or a folder', async () => {
    expect(await put('empty', '')).toMatchObject({ status: 201, json: { size: 0, hash: sha('') } })
    expect(await call('GET', '/v1/buckets/team/blobs/empty')).toMatchObject({ status: 200, text: '' })
    const chunked = await put('chunked', 'abc', { 'transfer-encoding': 'chunked', 'content-length': '' })
    expect(chunked.status).toBe(400)
    expect(await put('folder/', '', { 'content-type': 'application/x-directory' })).toMatchObject({
      status: 201,
      json: { key: 'folder/', contentType: 'application/x-directory' },
    })
  })

  it.each<[string, Record<string, string>, number, string]>([
    ['absent where it is', { 'if-none-match': '*' }, 412, 'VersionConflict'],
    ['another version', { 'if-match': '"2"' }, 412, 'VersionConflict'],
    ['another entry', { 'if-match': '"1-0123456789abcdef"' }, 412, 'VersionConflict'],
    ['a version without quotes', { 'if-match': '1' }, 400, 'InvalidRequest'],
    ['any version that is there', { 'if-match': '*' }, 400, 'InvalidRequest'],
    ['two versions', { 'if-match': '"1", "2"' }, 400, 'InvalidRequest'],
    ['none of a version', { 'if-none-match': '"1"' }, 400, 'InvalidRequest'],
    ['both', { 'if-match': '"1"', 'if-none-match': '*' }, 400, 'InvalidRequest'],
    ['another hash', { 'x-blobs-sha256': sha('other') }, 422, 'Corrupt'],
    ['no hash', { 'x-blobs-sha256': 'abc' }, 400, 'InvalidRequest'],
    ['no entry id', { 'x-blobs-entry': 'abc' }, 400, 'InvalidRequest'],
    ['broken metadata', { 'x-blobs-meta-a': '%zz' }, 400, 'InvalidRequest'],
    ['a mode that is none', { 'x-blobs-meta-mode': 'rwx' }, 400, 'InvalidRequest'],
  ])('is not put with the condition of %s, and stays as it was', async (name, headers, status, code) => {
    const key = `kept-${name.replaceAll(' ', '-')}`
    await put(key, 'first')
    for (const method of ['PUT', 'DELETE']) {
      if (method === 'DELETE' && !('if-match' in headers || 'if-none-match' in headers)) continue
      const refused = await call(method, `/v1/buckets/team/blobs/${key}`, {
        headers,
        ...(method === 'PUT' ? { body: 'second' } : {}),
      })
      expect(refused).toMatchObject({ status, json: { code, status } })
      if (status === 412)
        expect(refused.json.conflicts).toMatchObject([{ key, current: { version: 1, hash: sha('first') } }])
    }
    expect(await call('GET', `/v1/buckets/team/blobs/${key}`)).toMatchObject({
      text: 'first',
      headers: { 'x-blobs-version': '1' },
    })
  })

  it('is put where the condition holds: a version, a whole ETag, absence, the ETag of a tombstone', async () => {
    const first = await put('cond', 'one', { 'if-none-match': '*', 'x-blobs-sha256': sha('one') })
    expect(first.status).toBe(201)
    const second = await put('cond', 'two', { 'if-match': '"1"' })
    expect(second).toMatchObject({ status: 200, json: { version: 2 } })
    expect(await put('cond', 'three', { 'if-match': String(first.headers.etag) })).toMatchObject({ status: 412 })
    const third = await put('cond', 'three', { 'if-match': String(second.headers.etag) })
    expect(third.status).toBe(200)
    const tombstone = await call('DELETE', '/v1/buckets/team/blobs/cond', {
      headers: { 'if-match': String(third.headers.etag) },
    })
    expect(tombstone.status).toBe(204)
    expect(await put('cond', 'five', { 'if-match': String(tombstone.headers.etag) })).toMatchObject({
      json: { version: 5 },
    })
  })

  it('put twice with one entry id is put once', async () => {
    const id = newId()
    const first = await put('once', 'x', { 'x-blobs-entry': id })
    const again = await put('once', 'x', { 'x-blobs-entry': id })
    expect(again.json).toEqual(first.json)
    expect(first.json).toMatchObject({ version: 1, entry: id })
  })

  it.each([
    ['bytes=0-0', 206, 'a', 'bytes 0-0/10'],
    ['bytes=2-4', 206, 'cde', 'bytes 2-4/10'],
    ['bytes=7-', 206, 'hij', 'bytes 7-9/10'],
    ['bytes=-3', 206, 'hij', 'bytes 7-9/10'],
    ['bytes=-30', 206, 'abcdefghij', 'bytes 0-9/10'],
    ['bytes=5-500', 206, 'fghij', 'bytes 5-9/10'],
    ['bytes=10-', 416, null, 'bytes */10'],
    ['bytes=-0', 416, null, 'bytes */10'],
    ['bytes=4-2', 200, 'abcdefghij', undefined],
    ['bytes=0-1,3-4', 200, 'abcdefghij', undefined],
    ['lines=1-2', 200, 'abcdefghij', undefined],
    ['bytes=-', 200, 'abcdefghij', undefined],
  ])('is read by the range %s', async (range, status, text, contentRange) => {
    await put('ranged', 'abcdefghij', { 'if-none-match': '*' })
    const got = await call('GET', '/v1/buckets/team/blobs/ranged', { headers: { range } })
    expect(got).toMatchObject(text === null ? { status, json: { status, code: 'InvalidRequest' } } : { status, text })
    expect(got.headers['content-range']).toBe(contentRange)
  })

  it('is read under conditions', async () => {
    const etag = String((await put('read', 'body')).headers.etag)
    const get = (headers: Record<string, string>): Promise<Reply> =>
      call('GET', '/v1/buckets/team/blobs/read', { headers })
    expect(await get({ 'if-none-match': etag })).toMatchObject({ status: 304, text: '', headers: { etag } })
    expect(await get({ 'if-none-match': '"7", W/"1"' })).toMatchObject({ status: 304 })
    expect(await get({ 'if-none-match': '"2"' })).toMatchObject({ status: 200, text: 'body' })
    expect(await get({ 'if-match': etag })).toMatchObject({ status: 200 })
    expect(await get({ 'if-match': '"2"' })).toMatchObject({ status: 412, json: { code: 'VersionConflict' } })
    expect(await get({ range: 'bytes=0-1', 'if-range': etag })).toMatchObject({ status: 206, text: 'bo' })
    expect(await get({ range: 'bytes=0-1', 'if-range': '"1-0000000000000000"' })).toMatchObject({
      status: 200,
      text: 'body',
    })
  })

  it.each([
    ['a//b', 'InvalidKey'],
    ['/a', 'InvalidKey'],
    ['', 'InvalidKey'],
    ['a%00b', 'InvalidKey'],
    ['e%CC%81', 'InvalidKey'],
    ['x'.repeat(1025), 'InvalidKey'],
    ['%zz', 'InvalidRequest'],
    ['%ff', 'InvalidRequest'],
  ])('with the key %j is refused by every method', async (key, code) => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
      const refused = await call(method, `/v1/buckets/team/blobs/${key}`, method === 'PUT' ? { body: 'x' } : {})
      expect(refused, method).toMatchObject({ status: 400, headers: { 'x-blobs-code': code } })
    }
  })

  it('may have a key of dots and of any letters', async () => {
    for (const key of ['a/../b', '.', '%F0%9F%98%80/x', 'a%2Fb', 'q%3Fr%23s%25']) {
      const made = await put(key, key)
      expect(made.json.key).toBe(decodeURIComponent(key))
      expect(await call('GET', `/v1/buckets/team/blobs/${key}`)).toMatchObject({ status: 200, text: key })
    }
  })
})
