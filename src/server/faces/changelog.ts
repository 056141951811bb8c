import type { FastifyReply } from 'fastify'
import { parseJson } from '../../protocol/json.ts'
import { INDEX_META, rowKey, VALUE_META, VOID_META } from '../../store/contract/changelog-rows.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { checkKey } from '../../store/contract/keys.ts'
import type { EntryInput, Meta } from '../../store/contract/types.ts'
import { stageStream } from '../../store/contract/upload.ts'
import { readText } from '../body.ts'
import { primed } from '../../store/contract/primed.ts'
import { type Call, isMissing, sendBytes, sendStream, useBucket, useBucketToWrite, withBody } from '../call.ts'
import { openBookmarks, type RowForm, rowsAfter } from './changelog-rows.ts'
import { type Ask, asLocal, enterLocally, type Face } from './face.ts'

/** Bytes of a request body, as the original has it. */
const MAX_BODY = 100 * 1024
const JSON_BOUNDS = { values: 100_000, items: 100_000, names: 10_000, depth: 100 }
const EMPTY = { hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', size: 0 } as const

type Fields = Readonly<Record<string, unknown>>

/** The change log of records (seed 002), of both generations, in one bucket. `store`: the one that the first generation means. */
export function openChangelog({ bucket, store: only }: { readonly bucket: string; readonly store: string }): Face {
  const bookmarks = openBookmarks()
  const name = 'changelog'
  type Act = (call: Call, fields: Fields, trail: Ask['trail']) => Promise<FastifyReply>
  const does =
    (act: Act) =>
    (ask: Ask): Promise<FastifyReply> =>
      asLocal(ask, { name, bucket }, async (call) => act(call, await readFields(call), ask.trail))
  const about =
    (act: (call: Call, key: string, fields: Fields) => Promise<FastifyReply>, named: boolean): Act =>
    (call, fields, trail) => {
      const store = named ? textOf(fields['storeName']) : only
      const key = checkKey(rowKey(checkStore(store), requireText(fields['key'])))
      trail.key = key
      return act(call, key, fields)
    }
  const changes =
    (form: RowForm): Act =>
    (call, fields) =>
      sendChanges(call, bookmarks, {
        form,
        store: form === 1 ? only : checkStore(textOf(fields['storeName'])),
        after: fields['after'],
      })
  const route = (method: 'GET' | 'POST', url: string, action: string, act: Act) =>
    ({ method, url, action, handle: does(act) }) as const
  return {
    name,
    routes: [
      route('POST', '/echoBody', 'echo', (call, fields) => echo(call, fields)),
      route('POST', '/add', 'put', about(add, false)),
      route('POST', '/delete', 'delete', about(remove, false)),
      route('GET', '/get', 'get', about(get, false)),
      route('GET', '/changes', 'changes', changes(1)),
      route('POST', '/addStoreRecord', 'put', about(add, true)),
      route('POST', '/deleteStoreRecord', 'delete', about(remove, true)),
      route('POST', '/getStoreRecordValue', 'get', about(get, true)),
      route('POST', '/getStoreChanges', 'changes', changes(2)),
    ],
    enter: enterLocally,
    // The original tells nothing of a request that it cannot do.
    tell: (reply, { status, detail }) =>
      status === 400 || status === 404
        ? reply.code(400).send()
        : reply.header('content-type', 'text/plain; charset=utf-8').send(detail),
    close: async () => undefined,
  }
}

/** What is not sent as JSON says nothing. */
async function readFields(call: Call): Promise<Fields> {
  const rules = { maxBytes: MAX_BODY, total: call.context.bounds.bodyTotal, held: MAX_BODY }
  const text = await withBody(call, rules, readText)
  if (!/^application\/json *(;|$)/i.test(call.request.headers['content-type'] ?? '')) return {}
  return parseJson(text || '{}', objectOrList, JSON_BOUNDS)
}

function objectOrList(value: unknown): Fields {
  if (typeof value === 'object' && value !== null) return value as Fields
  throw new BlobsError('InvalidRequest', 'the body is neither an object nor a list')
}

async function echo({ reply }: Call, fields: Fields): Promise<FastifyReply> {
  try {
    return reply.header('content-type', 'application/json; charset=utf-8').send(JSON.stringify(fields))
  } catch (cause) {
    throw new BlobsError('InvalidRequest', 'the body is nested too deeply', { cause })
  }
}

/** As the table's columns of text would have it; an object is refused, where the original kept `[object Object]`. */
function textOf(value: unknown): string | null {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (typeof value === 'number') return String(value)
  throw new BlobsError('InvalidRequest', 'a text is needed')
}

function requireText(value: unknown): string {
  const text = textOf(value)
  if (text !== null) return text
  throw new BlobsError('InvalidRequest', 'a text is missing')
}

function checkStore(store: string | null): string {
  if (store !== null && store !== '') return store
  throw new BlobsError('InvalidRequest', 'no store is named')
}

async function add(call: Call, key: string, { value, index_values: index }: Fields): Promise<FastifyReply> {
  const text = textOf(value)
  if (text !== null && !text.isWellFormed()) throw new BlobsError('InvalidRequest', 'the value is not Unicode')
  const meta: Meta = {
    ...(text === null ? { [VALUE_META]: 'null' } : {}),
    ...(index === undefined ? {} : { [INDEX_META]: indexText(index) }),
  }
  await write(call, async (store) => {
    const staged = await stageStream(store, pieces(Buffer.from(text ?? '')), {
      slabs: call.context.memory.of(call.grant.id),
    })
    return [{ type: 'put', key, expect: 'any', contentType: 'text/plain; charset=utf-8', meta, ...staged }]
  })
  return call.reply.send()
}

/** Longest list of index values, as JSON: metadata of a blob has 8 KiB. */
const MAX_INDEX = 6 * 1024

function indexText(index: unknown): string {
  const text = Array.isArray(index) && index.length > 0 ? JSON.stringify(index) : ''
  if (Buffer.byteLength(text) <= MAX_INDEX && text.isWellFormed()) return text
  throw new BlobsError('InvalidRequest', `the index values have more than ${MAX_INDEX} bytes`)
}

/** A record that is not there gets a version to be deleted, so that its deletion is in the log as any other. */
async function remove(call: Call, key: string): Promise<FastifyReply> {
  await write(call, async (store) => {
    const info = await store.head(key)
    const meta = { [VOID_META]: '1' }
    const body = { depth: 0, refs: [] }
    const none = { type: 'put', key, expect: 'absent', contentType: 'text/plain', meta, body, ...EMPTY } as const
    const deletion = { type: 'delete', key, expect: 'any' } as const
    return info === null || info.deleted ? [none, deletion] : [deletion]
  })
  return call.reply.send()
}

async function write(
  call: Call,
  changes: (store: BlobStore) => Promise<readonly EntryInput['changes'][number][]>,
): Promise<void> {
  const { context, grant } = call
  await useBucketToWrite(call, async (_confined, store) => {
    const entries = (await changes(store)).map((change) => ({
      id: context.newId(),
      author: grant.name,
      changes: [change],
    }))
    await store.commit(entries)
  })
}

/** A record has a value while all that ever happened to it is that it was added once. */
async function get(call: Call, key: string): Promise<FastifyReply> {
  const none = new BlobsError('NotFound', 'there is no such record', { key })
  try {
    return await useBucket(call, async (store) => {
      const info = await store.head(key)
      if (info === null || info.deleted || info.version !== 1) throw none
      const blob = await store.get(key, { version: 1 })
      if (blob === null) throw none
      const stream = await primed(blob.stream)
      call.reply.header('content-type', 'text/html; charset=utf-8').header('content-length', info.size)
      return sendBytes(call, stream)
    })
  } catch (error) {
    throw isMissing(error) ? none : error
  }
}

interface Wanted {
  readonly form: RowForm
  readonly store: string
  /** As it was sent. */
  readonly after: unknown
}

async function sendChanges(
  call: Call,
  bookmarks: ReturnType<typeof openBookmarks>,
  { form, store: name, after: sent }: Wanted,
): Promise<FastifyReply> {
  const after = numberIn(sent)
  call.reply.header('content-type', 'application/json; charset=utf-8')
  if (after === null) return call.reply.send('[]')
  try {
    return await useBucket(call, async (_confined, store) => {
      const text = await primed(rowsAfter(store, bookmarks, { form, store: name, after, signal: gone(call) }))
      return sendStream(call, text)
    })
  } catch (error) {
    if (isMissing(error)) return call.reply.send('[]')
    call.reply.removeHeader('content-type')
    throw error
  }
}

/** What a column of numbers compares with; null for what no number is greater than. */
function numberIn(sent: unknown): number | null {
  if (typeof sent === 'number') return sent
  if (typeof sent === 'boolean') return Number(sent)
  return typeof sent === 'string' && /^\s*-?\d+(\.\d+)?\s*$/.test(sent) ? Number(sent) : null
}

/** Aborts when nobody waits for the answer any more. */
function gone({ reply, context }: Call): AbortSignal {
  const ending = new AbortController()
  reply.raw.once('close', () => ending.abort())
  return AbortSignal.any([ending.signal, context.stopping])
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
