/**
 * What a right request of each route is, and requests without a fault that name what is not theirs.
 *
 * A new route, or a face with routes of its own: add a right request of each method to `rightRequests` (`server-routes.test.ts` fails until every
 * route of `src/server/v1.ts` has one); it is then sent with anything in its body, at any path, with any query, method and headers, and spoiled byte
 * by byte, by `server-fuzz.test.ts`. If it names buckets, keys, ids or chunks, add it to `cunning` too. If it shows or keeps something of
 * its own, plant a canary of that in `fortress.ts` and read it again in `outOfReach`. What does not speak HTTP (events of a socket) takes
 * `mutated` of `generators.ts` for its arguments and `Fortress.checkAll` after each property.
 */
import * as fc from 'fast-check'
import { newId } from '../server/running.ts'
import { ANN, type Fortress, sha } from './fortress.ts'

type Json = unknown
const chunk = Buffer.from('a chunk that everybody may stage')

/** Requests that are right, one of every route and method: what the others are made of. */
export function rightRequests({ known, foreignCursor }: Pick<Fortress, 'known' | 'foreignCursor'>, bucket: string) {
  const B = `/v1/buckets/${bucket}`
  const put = (key: string, more: object = {}): Json => ({
    type: 'put',
    key,
    expect: 'any',
    hash: known.hash,
    size: known.size,
    body: { copy: { key: 'docs/a', version: 1 } },
    contentType: 'text/plain',
    meta: { mtime: '1', note: 'x' },
    ...more,
  })
  const ref = { hash: sha(chunk), size: chunk.length }
  const json = (method: string, target: string, value: Json, headers: Headers = []) => ({
    method,
    target,
    json: value,
    headers,
  })
  return [
    ...faceRequests(json),
    json('GET', '/live', null),
    json('GET', '/ready', null),
    json('POST', '/v1/join', { code: 'A'.repeat(22), name: 'laptop' }),
    json('GET', '/metrics', null),
    json('GET', '/v1/buckets', null),
    json('GET', '/v1/buckets?after=a&limit=10', null),
    json('PUT', B, { options: {} }),
    json('GET', B, null),
    json('PATCH', B, { options: { maxBlobSize: 1_000_000 } }),
    json('DELETE', B, null),
    json('GET', `${B}/blobs?prefix=docs/&delimiter=/&limit=5&deleted&versions&digests`, null),
    json('GET', `${B}/blobs?at=2030-01-01T00:00:00Z&after=docs/a`, null),
    json('GET', `${B}/blobs/docs/a?version=1`, null),
    json('HEAD', `${B}/blobs/docs/a`, null),
    json('PUT', `${B}/blobs/docs/new`, 'bytes'),
    json('DELETE', `${B}/blobs/docs/a`, null),
    json('POST', `${B}/commit`, {
      entries: [
        { id: newId(), changes: [put('docs/x'), { type: 'delete', key: 'docs/a', expect: { version: 1 } }] },
        {
          id: newId(),
          device: 'd',
          operation: 'o',
          changes: [put('docs/y', { hash: ref.hash, size: ref.size, body: { depth: 0, refs: [ref] } })],
        },
      ],
    }),
    json('POST', `${B}/chunks/missing`, { hashes: [known.hash, sha('x')] }),
    json('POST', `${B}/fetch`, { wants: [{ key: 'docs/a', version: 1 }] }),
    json('GET', `${B}/chunks-of/docs/a?version=1`, null),
    json('GET', `${B}/changes`, null),
    json('GET', `${B}/changes?since=${known.cursor}`, null),
    json('GET', `${B}/changes?since=${foreignCursor}&live`, null),
    json('GET', '/v1/tokens?after=a&limit=10', null),
    json('GET', '/v1/tokens/self', null),
    json('GET', `/v1/tokens/${known.hash.slice(0, 32)}`, null),
    json('POST', '/v1/tokens', {
      bucket,
      can: ['read'],
      prefixes: ['docs'],
      name: 'x',
      expires: '2100-01-01T00:00:00Z',
    }),
    json('POST', '/v1/tokens/revoke', { issuedBefore: '2001-01-01T00:00:00Z', bucket }),
    json('POST', '/v1/tokens/revoke', { ids: [known.hash.slice(0, 32)], made: true }),
    json('POST', '/v1/tokens/rotate', { keep: 1000 }),
  ] as const
}

type Headers = readonly (readonly [name: string, value: string])[]
type Request = { readonly method: string; readonly target: string; readonly json: Json; readonly headers: Headers }

const JSON_TYPE: Headers = [['Content-Type', 'application/json']]
const FORM_TYPE: Headers = [['Content-Type', 'multipart/form-data; boundary=b']]
const field = (name: string, value: string): string =>
  `--b\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`

/** What the faces of other servers are asked; a user of containers has `box`, and `spare` to be deleted. */
function faceRequests(
  json: (method: string, target: string, value: Json, headers?: Headers) => Request,
): readonly Request[] {
  const record = { storeName: 'MyStore', key: 'k', value: 'v', index_values: ['x'] }
  const file = { container_name: 'box', file_name: 'f', file_size: 3, chunk_size: 2 }
  const id = '00000000-0000-4000-8000-000000000000'
  const part = `${field('file', 'ab')}${field('upload_id', id)}${field('part_number', '0')}--b--\r\n`
  const whole = `${field('container_name', 'box')}${field('blob_name', 'g')}${field('blob_size', '2')}${field('chunk_0', 'ab')}--b--\r\n`
  const paths =
    'signup login upload-part logout is-logged-in create_container list_containers delete_container ' +
    'initiate-upload complete-upload put_data list_blobs get_data download delete-blob delete_data'
  const preflights = paths.split(' ').map((path) => json('OPTIONS', `/${path}`, null))
  return [
    ...preflights,
    json('POST', '/signup', { username: 'new', email: 'new@example.org', password: 'x' }),
    json('POST', '/login', ANN),
    json('POST', '/upload-part', part, FORM_TYPE),
    json('GET', '/is-logged-in', null),
    json('POST', '/create_container', { container_name: 'box' }),
    json('GET', '/list_containers', null),
    json('DELETE', '/delete_container?container_name=spare', null),
    json('POST', '/initiate-upload', file),
    json('POST', '/complete-upload', { blob_id: id }),
    json('POST', '/put_data', whole, FORM_TYPE),
    json('GET', '/list_blobs?container=box', null),
    json('GET', '/get_data?container=box&blob=g', null),
    json('GET', '/download?container=box&blob=g', null),
    json('DELETE', '/delete-blob?container=box&blob=g', null),
    json('DELETE', '/delete_data', { container_name: 'box', blob_name: 'g' }),
    json('POST', '/echoBody', record, JSON_TYPE),
    json('POST', '/add', record, JSON_TYPE),
    json('GET', '/get', record, JSON_TYPE),
    json('GET', '/changes', { after: 0 }, JSON_TYPE),
    json('POST', '/delete', record, JSON_TYPE),
    json('POST', '/addStoreRecord', record, JSON_TYPE),
    json('POST', '/getStoreRecordValue', { ...record, key: 'l' }, JSON_TYPE),
    json('POST', '/getStoreChanges', { storeName: 'MyStore', after: 0 }, JSON_TYPE),
    json('POST', '/deleteStoreRecord', record, JSON_TYPE),
    json('POST', '/blobs', 'bytes'),
    json('GET', `/blobs/${sha('bytes')}`, null),
    json('HEAD', `/blobs/${sha('bytes')}`, null),
    // The last: after it, the user's token is none.
    json('POST', '/logout', null),
  ]
}

/** Keys that an attacker knows of, in reach and out of it, and ways to write them. */
const KEYS = [
  'docs/a',
  'docs/x',
  'docs',
  'docs/',
  'docs2/named',
  'private/named',
  'docs/../private/named',
  'docs/./a',
  'private/named/',
  'Docs/a',
]

/** Requests without a fault, that name what is not theirs: ids of others' entries, chunks and blobs of others, cursors from elsewhere. */
export function cunning(
  fortress: Pick<Fortress, 'known' | 'named' | 'foreignCursor' | 'ids'>,
  bucket: string,
): fc.Arbitrary<{ readonly method: string; readonly target: string; readonly json: Json }> {
  const B = `/v1/buckets/${bucket}`
  const { known, named, foreignCursor } = fortress
  const key = fc.constantFrom(...KEYS)
  const path = key.map((one) => one.split('/').map(encodeURIComponent).join('/'))
  const version = fc.integer({ min: 1, max: 3 })
  const id = fc.oneof(
    fc.constantFrom(...fortress.ids.filter((one) => one.length === 32)),
    fc.nat().map(() => newId()),
  )
  const own = fc.oneof({ weight: 4, arbitrary: fc.constant('docs/x') }, { weight: 1, arbitrary: key })
  const body = fc.oneof(
    fc.record({ key, version }).map((copy) => ({ copy })),
    fc.constantFrom('private/named', 'docs2/named').map((one) => ({ copy: { key: one, version: 1 } })),
    fc.constantFrom(known, named).map(({ hash, size }) => ({ depth: 0, refs: [{ hash, size }] })),
  )
  const expect = fc.oneof(fc.constantFrom<Json>('any', 'absent'), fc.record({ version }))
  const put = fc.record({ key: own, expect, body, of: fc.constantFrom(known, named) }).map(({ of, ...rest }) => ({
    type: 'put',
    hash: of.hash,
    size: of.size,
    contentType: 'a/b',
    meta: {},
    ...rest,
  }))
  // Right in all but one thing.
  const theft = fc
    .constantFrom<Json>(...['private/named', 'docs2/named'].map((one) => ({ copy: { key: one, version: 1 } })), {
      depth: 0,
      refs: [{ hash: named.hash, size: named.size }],
    })
    .map((from) => ({
      type: 'put',
      key: 'docs/x',
      expect: 'any',
      hash: named.hash,
      size: named.size,
      body: from,
      contentType: 'a/b',
      meta: {},
    }))
  const change = fc.oneof<fc.Arbitrary<Json>[]>(
    put,
    theft,
    put,
    fc.record({ type: fc.constant('delete'), key: own, expect }),
  )
  const entry = fc.record({ id, changes: fc.array(change, { minLength: 1, maxLength: 2 }) })
  const entries = fc.array(entry, { minLength: 1, maxLength: 2 })
  const get = (target: fc.Arbitrary<string>) => target.map((one) => ({ method: 'GET', target: one, json: null }))
  const post = (route: string, value: fc.Arbitrary<Json>) =>
    value.map((json) => ({ method: 'POST', target: `${B}/${route}`, json }))
  const ends = fc.oneof<fc.Arbitrary<Json>[]>(
    fc.record({ ids: fc.array(id, { minLength: 1, maxLength: 2 }), made: fc.boolean() }),
    fc.record({ issuedBefore: fc.constant('2001-01-01T00:00:00Z'), bucket: fc.constantFrom('other', '*', bucket) }),
  )
  return fc.oneof(
    { weight: 6, arbitrary: post('commit', fc.record({ entries })) },
    {
      weight: 1,
      arbitrary: get(
        fc.oneof(
          fc.constant('/v1/tokens'),
          id.map((one) => `/v1/tokens/${one}`),
        ),
      ),
    },
    { weight: 1, arbitrary: ends.map((json) => ({ method: 'POST', target: '/v1/tokens/revoke', json })) },
    {
      weight: 1,
      arbitrary: post('fetch', fc.record({ wants: fc.array(fc.record({ key, version }), { maxLength: 3 }) })),
    },
    { weight: 1, arbitrary: post('chunks/missing', fc.constant({ hashes: [known.hash, named.hash] })) },
    { weight: 1, arbitrary: get(path.map((one) => `${B}/blobs/${one}`)) },
    {
      weight: 1,
      arbitrary: get(fc.tuple(path, version).map(([one, number]) => `${B}/chunks-of/${one}?version=${number}`)),
    },
    {
      weight: 1,
      arbitrary: get(key.map((one) => `${B}/blobs?prefix=${encodeURIComponent(one)}&deleted&versions&digests`)),
    },
    { weight: 1, arbitrary: get(key.map((one) => `${B}/blobs?after=${encodeURIComponent(one)}&delimiter=/`)) },
    {
      weight: 1,
      arbitrary: get(
        fc.constantFrom('', known.cursor, foreignCursor).map((one) => `${B}/changes${one && `?since=${one}`}`),
      ),
    },
    {
      weight: 1,
      arbitrary: get(fc.constantFrom(B, '/v1/buckets', '/v1/buckets/other', '/v1/buckets/other/blobs/docs/named')),
    },
  )
}

/** What a user of containers may ask without a fault, of what is another user's. */
export function cunningUser({
  foreignUpload,
}: Pick<Fortress, 'foreignUpload'>): fc.Arbitrary<
  Pick<Request, 'method' | 'target' | 'headers'> & { readonly body: string }
> {
  const container = fc.constantFrom(
    'box',
    'hers',
    'u2.box',
    'u2.hers',
    '2/box',
    '../u2.box',
    '_system',
    '*',
    'box\u0000',
  )
  const blob = fc.constantFrom('docs', 'docs/named', '../docs', 'u2.box/docs', '%', '*')
  const place = fc.record({ container, blob }).map((of) => new URLSearchParams(of).toString())
  const ask = (method: string, target: string, value: Json = '', headers: Headers = JSON_TYPE) => ({
    method,
    target,
    headers,
    body: typeof value === 'string' ? value : JSON.stringify(value),
  })
  const part = `${field('file', 'abc')}${field('upload_id', foreignUpload)}${field('part_number', '0')}--b--\r\n`
  const whole = (into: string): string =>
    `${field('container_name', into)}${field('blob_name', 'docs')}${field('chunk_0', 'ab')}--b--\r\n`
  return fc.oneof(
    fc
      .tuple(fc.constantFrom('/get_data', '/download', '/list_blobs'), place)
      .map(([path, query]) => ask('GET', `${path}?${query}`)),
    fc
      .tuple(fc.constantFrom('/delete-blob', '/delete_data'), place)
      .map(([path, query]) => ask('DELETE', `${path}?${query}`)),
    fc
      .constantFrom('hers', 'u2.box', '2/box')
      .map((name) => ask('DELETE', `/delete_container?${new URLSearchParams({ container_name: name })}`)),
    container.map((name) => ask('POST', '/initiate-upload', { container_name: name, file_name: 'docs', file_size: 1 })),
    fc.constantFrom(
      ask('POST', '/complete-upload', { blob_id: foreignUpload }),
      ask('POST', '/upload-part', part, FORM_TYPE),
    ),
    container.map((name) => ask('POST', '/put_data', whole(name), FORM_TYPE)),
    fc.constant(ask('POST', '/login', { username: 'ann', email: 'ann@example.org', password: "' OR 1=1 --" })),
  )
}
