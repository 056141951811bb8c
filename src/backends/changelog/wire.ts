import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isUntrusted } from '../../platform/network.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { BrokenList, readRows } from './rows.ts'

/** Connections at the same time. */
export const MOST_CALLS = 8
/** Milliseconds without a byte after which a server counts as gone. */
const PATIENCE = 30_000
/** Most bytes of an answer that is kept whole. */
const MOST_TEXT = 1024 * 1024

export interface WireOptions {
  /** `http://host:3000`, `https://…` */
  readonly origin: string
  /** '' where none was named. */
  readonly store: string
  /** What is trusted, if not the usual. */
  readonly ca?: string[]
}

/** A record of the log that the server keeps. */
export interface Row {
  readonly id: number
  readonly key: string
  readonly isAdd: boolean
  readonly value: string
}

/** The calls of the server, whichever generation it is of. They throw `Unavailable` when their outcome is not known. */
export interface Wire {
  add(key: string, value: string): Promise<void>
  /** The records behind an id, in their order, as they come. */
  changes(after: number): AsyncIterable<readonly Row[]>
  /** Null where the server does not tell it: there is none, or more than one record has this key. */
  value(key: string): Promise<string | null>
  close(): void
}

interface Call {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body: object
}
/** The calls of a generation. */
interface Dialect {
  add(key: string, value: string): Call
  changes(after: number): Call
  value(key: string): Call
  row(raw: Readonly<Record<string, unknown>>): { id: unknown; key: unknown; type: unknown; value: unknown }
}

/** Everything by bodies, of GETs too; the server has one store. */
const FIRST: Dialect = {
  add: (key, value) => ({ method: 'POST', path: '/add', body: { key, value } }),
  changes: (after) => ({ method: 'GET', path: '/changes', body: { after } }),
  value: (key) => ({ method: 'GET', path: '/get', body: { key } }),
  row: ({ id, key, type, value }) => ({ id, key, type, value }),
}
function second(storeName: string): Dialect {
  return {
    add: (key, value) => ({ method: 'POST', path: '/addStoreRecord', body: { storeName, key, value } }),
    changes: (after) => ({ method: 'POST', path: '/getStoreChanges', body: { storeName, after } }),
    value: (key) => ({ method: 'POST', path: '/getStoreRecordValue', body: { storeName, key } }),
    row: (raw) => ({
      id: raw['change_id'],
      key: raw['record_key'],
      type: raw['change_type'],
      value: raw['record_value'],
    }),
  }
}

export function openWire(options: WireOptions): Wire {
  const { origin } = options
  const agent = new (origin.startsWith('https:') ? https : http).Agent({ keepAlive: true, maxSockets: MOST_CALLS })
  const send = (call: Call): Promise<IncomingMessage> => request(options, agent, call)
  let detecting: Promise<Dialect> | null = null
  const dialect = (): Promise<Dialect> => {
    detecting ??= detect(options, send).catch((error: unknown) => {
      detecting = null
      throw error
    })
    return detecting
  }
  return {
    add: async (key, value) => {
      const call = (await dialect()).add(key, value)
      const { statusCode = 0 } = await drained(origin, await send(call))
      if (statusCode !== 200) throw refusal(origin, statusCode, Buffer.byteLength(JSON.stringify(call.body)))
    },
    changes: async function* (after) {
      const { changes, row } = await dialect()
      const response = await again(() => send(changes(after)))
      if (response.statusCode !== 200) throw refusal(origin, (await drained(origin, response)).statusCode ?? 0, 0)
      try {
        for await (const rows of readRows(response)) yield rows.map((raw) => rowOf(origin, row(Object(raw) as never)))
      } catch (error) {
        if (isBlobsError(error)) throw error
        throw unreachable(origin, error, error instanceof BrokenList ? 'was cut short' : 'ended in the middle')
      } finally {
        response.destroy()
      }
    },
    value: async (key) => {
      const call = (await dialect()).value(key)
      const { statusCode, text } = await again(async () => drained(origin, await send(call)))
      if (statusCode === 200) return text
      if (statusCode === 400 || statusCode === 404) return null
      throw refusal(origin, statusCode ?? 0, 0)
    },
    close: () => agent.destroy(),
  }
}

/** The later generation answers where the first has nothing. Throws `NotFound` for a store that is not there. */
async function detect(
  { origin, store }: WireOptions,
  send: (call: Call) => Promise<IncomingMessage>,
): Promise<Dialect> {
  const status = async (dialect: Dialect): Promise<number> => {
    const { statusCode = 0 } = await again(async () =>
      drained(origin, await send(dialect.changes(Number.MAX_SAFE_INTEGER))),
    )
    return statusCode
  }
  const later = second(store)
  const found = await status(later)
  if (found === 200) return later
  if (found === 404) {
    const first = await status(FIRST)
    if (first === 200) return FIRST
    if (first !== 404) throw refusal(origin, first, 0)
    throw new BlobsError('NotSupported', `what answers at ${origin} is no server of a change log`, {
      hint: 'name the address of one, as changelog+http://HOST:PORT/STORE//bucket',
    })
  }
  if (found !== 400) throw refusal(origin, found, 0)
  const hint = `name one that its program made, as changelog+http://HOST:PORT/STORE//bucket`
  throw store === ''
    ? new BlobsError('InvalidRequest', `the server at ${origin} has stores with names`, { hint })
    : new BlobsError('NotFound', `the server at ${origin} has no store ${store}`, { hint })
}

function request(
  { origin, ca }: WireOptions,
  agent: http.Agent,
  { method, path, body }: Call,
): Promise<IncomingMessage> {
  const text = Buffer.from(JSON.stringify(body))
  const headers = { 'content-type': 'application/json', 'content-length': text.length }
  const scheme = origin.startsWith('https:') ? https : http
  return new Promise((resolve, reject) => {
    const sent = scheme.request(origin + path, { method, agent, headers, ...(ca === undefined ? {} : { ca }) })
    sent.setTimeout(PATIENCE, () => sent.destroy(new Error(`no answer for ${PATIENCE / 1000} s`)))
    sent.on('response', resolve)
    sent.on('error', (error) => reject(unreachable(origin, error, 'failed')))
    // A GET has a body here, too.
    sent.end(text)
  })
}

async function drained(
  origin: string,
  response: IncomingMessage,
): Promise<{ readonly statusCode: number | undefined; readonly text: string }> {
  const parts: Buffer[] = []
  let size = 0
  try {
    for await (const part of response as AsyncIterable<Buffer>) {
      size += part.length
      if (size <= MOST_TEXT) parts.push(part)
    }
  } catch (error) {
    throw unreachable(origin, error, 'ended in the middle')
  }
  return { statusCode: response.statusCode, text: Buffer.concat(parts).toString() }
}

/** What only reads is asked once more: a connection that was kept may have ended meanwhile. */
async function again<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!isBlobsError(error, 'Unavailable')) throw error
  }
  return act()
}

function rowOf(origin: string, { id, key, type, value }: ReturnType<Dialect['row']>): Row {
  if (typeof id !== 'number' || !Number.isSafeInteger(id)) {
    throw new BlobsError('NotSupported', `the server at ${origin} tells records without a number`)
  }
  const isAdd = type === 'ADD'
  return { id, key: typeof key === 'string' ? key : '', isAdd, value: typeof value === 'string' ? value : '' }
}

function unreachable(origin: string, cause: unknown, what: string): BlobsError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (isUntrusted(code)) {
    return new BlobsError('Refused', `the certificate of ${origin} is not trusted: ${code}`, {
      cause,
      hint: 'if it is yours, name it: --ca-cert FILE',
    })
  }
  const text = cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : '') : ''
  return new BlobsError('Unavailable', `an answer of ${origin} ${what}${text === '' ? '' : ` (${text})`}`, {
    cause,
    hint: 'does the server run, and is the way to it open? it is tried again',
  })
}

function refusal(origin: string, status: number, bytes: number): BlobsError {
  if (status === 413) {
    return new BlobsError('TooLarge', `the server at ${origin} takes no request of ${bytes} bytes`, {
      hint: 'it, or a proxy before it, takes less than the 100 kB that are usual: raise that limit',
    })
  }
  if (status === 401 || status === 403) {
    return new BlobsError('Forbidden', `the server at ${origin} answers ${status}`, {
      hint: 'this kind of server knows no tokens: is there a proxy before it?',
    })
  }
  return new BlobsError('Unavailable', `the server at ${origin} answers ${status}`, {
    hint: 'see what its program tells',
  })
}
