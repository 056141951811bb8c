import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { covers, type Grant } from '../access/grant.ts'
import type { TokenDesk } from '../access/desk.ts'
import type { Gate } from '../access/gate.ts'
import type { Lease } from '../access/leases.ts'
import { limits } from '../protocol/limits.ts'
import { type JsonBounds, parseJson } from '../protocol/json.ts'
import type { Target } from '../protocol/routes.ts'
import type { Clock } from '../platform/ports.ts'
import { after } from '../platform/timer.ts'
import type { Check } from '../protocol/schema.ts'
import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { checkBucketName } from '../store/contract/keys.ts'
import { free } from '../store/contract/slabs.ts'
import type { Audit, Audited } from './audit.ts'
import type { Outcome } from '../store/contract/types.ts'
import { type BodyRules, declaredLength, readBody, readText } from './body.ts'
import type { Budget } from './budget.ts'
import type { Health } from './health.ts'
import type { Memory } from './memory.ts'
import type { Meter } from './metrics/meter.ts'
import { hideNames, type Pool } from './pool.ts'
import { scopeHint, scopeStore } from './scope.ts'
import type { Sight } from './sight.ts'
import type { Shares } from './shares.ts'
import type { StagedMemory } from './staged.ts'
import type { Bounds } from './times.ts'

/** What all requests of one server share. */
export interface Context {
  readonly buckets: Buckets
  readonly pool: Pool
  readonly gate: Gate
  readonly desk: TokenDesk
  readonly audit: Audit
  readonly staged: StagedMemory
  readonly budget: Budget
  /** Memory for chunks that wait to be stored. */
  readonly memory: Memory
  readonly shares: Shares
  readonly health: Health
  readonly meter: Meter
  readonly bounds: Bounds
  readonly clock: Clock
  /** Milliseconds for which reads go on while the place cannot be read. */
  readonly staleReads: number
  readonly now: () => number
  readonly newId: () => string
  /** Aborted when the server is told to stop. */
  readonly draining: AbortSignal
  /** Aborted when it stops, and what would go on without end has to end. */
  readonly stopping: AbortSignal
}

/** One request whose token was found good. */
export interface Call {
  readonly context: Context
  readonly request: IncomingMessage
  readonly reply: FastifyReply
  readonly grant: Grant
  /** Of the grant, until the request is done. */
  readonly lease: Lease
  /** '' for requests about no bucket. */
  readonly bucket: string
  /** '' for requests about no key. */
  readonly key: string
  readonly query: NonNullable<Target['query']>
  /** Notes why an answer that is on its way ended early, or holds a failure of the server: the log tells it. */
  readonly note: (error: unknown) => void
  /** Notes one of several things that the request does, for the audit log. */
  readonly audit: (item: Audited) => void
  readonly sight: Sight
}

/** Who acts in which bucket, whatever way it was asked for. */
export type Scene = Pick<Call, 'context' | 'grant' | 'lease' | 'bucket' | 'audit' | 'sight'>

/** Throws `Forbidden` if the token is about another bucket, whether that exists or not, and `InvalidRequest` for no bucket's name. */
export function checkBucket(grant: Grant, bucket: string): void {
  if (covers(grant, bucket)) {
    checkBucketName(bucket)
    return
  }
  throw new BlobsError('Forbidden', `this token is not for the bucket ${bucket}`, { bucket, hint: scopeHint(grant) })
}

export function forbid(call: Pick<Scene, 'grant' | 'bucket'>, act: string): never {
  throw new BlobsError('Forbidden', `this token may not ${act}`, {
    ...(call.bucket === '' ? {} : { bucket: call.bucket }),
    hint: scopeHint(call.grant),
  })
}

/** `store` is confined to what the token may do; `trusted` is not, for acts that were allowed before. */
type Use<T> = (store: BlobStore, trusted: BlobStore) => Promise<T>

/** The bucket as it is known once all that the caller has seen of it is. Throws `Unavailable` until then, and for what must not be stale. */
async function inSight({ context, sight }: Scene, store: BlobStore): Promise<BlobStore> {
  if (store.reach === undefined) return store
  const mayBeStale = sight.mayBeStale && context.staleReads > 0
  const { known, head, stale } = await store.reach({ seen: sight.seen, within: context.bounds.reach, mayBeStale })
  if (stale !== null && stale.age > context.staleReads) throw stale.why
  sight.told(head, stale === null ? undefined : stale.age)
  return { ...store, ...known }
}

/** Runs with the bucket as the token may see it. */
export async function useBucket<T>(call: Scene, fn: Use<T>): Promise<T> {
  const { context, grant, bucket } = call
  try {
    return await context.pool.use(bucket, async (store) => {
      const trusted = watched(call, await inSight(call, store))
      return fn(scoped(call, trusted), trusted)
    })
  } catch (error) {
    throw isMissing(error) && grant.bucket !== '*' ? hideNames(error, bucket) : error
  }
}

/** The same; a bucket that is not there comes into being if the token was made for exactly it and may write. */
export async function useBucketToWrite<T>(call: Scene, fn: Use<T>): Promise<T> {
  try {
    return await useBucket(call, fn)
  } catch (error) {
    if (!isMissing(error) || !comesIntoBeing(call)) throw error
    await call.context.buckets.create(call.bucket).then(
      () => call.audit({ action: 'bucket.create', bucket: call.bucket, result: 'ok' }),
      (caught: unknown) => {
        if (!isBlobsError(caught, 'AlreadyExists')) throw caught
      },
    )
    return useBucket(call, fn)
  }
}

/** Whether the first write with this token makes the bucket. */
export function comesIntoBeing({ grant, bucket }: Pick<Scene, 'grant' | 'bucket'>): boolean {
  return grant.bucket === bucket && grant.can.includes('write')
}

/** Whether it is the bucket itself that is not there. */
export function isMissing(error: unknown): boolean {
  return isBlobsError(error, 'NotFound') && error.key === undefined
}

/** Nothing is written for one whose token has ended while his bytes came. */
function watched({ context, lease: { signal }, sight }: Scene, store: BlobStore): BlobStore {
  const { health, meter, clock } = context
  return {
    ...store,
    commit: async (entries, options) => {
      signal.throwIfAborted()
      const write = (): ReturnType<BlobStore['commit']> => health.write(() => store.commit(entries, options))
      const outcomes = await metered({ meter, clock }, entries.length, write)
      for (const outcome of outcomes) if (outcome.ok) sight.told(outcome.cursor)
      return outcomes
    },
    stage: async (chunks, options) => {
      signal.throwIfAborted()
      return health.write(() => store.stage(chunks, options))
    },
  }
}

async function metered(
  { meter, clock }: Pick<Context, 'meter' | 'clock'>,
  entries: number,
  commit: () => Promise<readonly Outcome[]>,
): Promise<readonly Outcome[]> {
  const started = clock.elapsed()
  let counts = { made: 0, conflicts: 0, failed: entries }
  try {
    const outcomes = await commit()
    const made = outcomes.filter(({ ok }) => ok).length
    counts = { made, conflicts: outcomes.length - made, failed: 0 }
    return outcomes
  } finally {
    meter.commit({ ...counts, seconds: (clock.elapsed() - started) / 1000 })
  }
}

function scoped({ context, grant, bucket }: Scene, store: BlobStore): BlobStore {
  return scopeStore(store, {
    grant,
    bucket,
    brought: context.staged.of(grant.id, bucket),
    onStaged: (chunks) => context.staged.add(grant.id, bucket, chunks),
  })
}

/** The request's body; counts against what the server holds at once while `fn` runs. */
export async function withBody<T>(
  call: Call,
  rules: BodyRules & { readonly held: number },
  fn: (body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  const release = call.context.budget.take(
    call.grant.id,
    Math.min(declaredLength(call.request) ?? rules.held, rules.held),
  )
  try {
    return await fn(readBody(call.request, { ...rules, signal: call.lease.signal }, call.context))
  } finally {
    release()
  }
}

/** What a JSON text of a client may hold. */
export const REQUEST: JsonBounds = {
  values: limits.jsonValues,
  items: limits.jsonItems,
  names: limits.jsonNames,
  depth: limits.jsonDepth,
}

/** The request's JSON body. An empty one is `{}`. Its bytes are parsed and gone when it resolves. */
export async function readJson<T>(call: Call, check: Check<T>): Promise<T> {
  const rules = { maxBytes: limits.jsonBytes, total: call.context.bounds.bodyTotal, held: limits.jsonBytes }
  return withBody(call, rules, async (body) => parseJson((await readText(body)) || '{}', check, REQUEST))
}

export function sendJson(reply: FastifyReply, value: unknown, status = 200): FastifyReply {
  return sendText(reply.code(status), JSON.stringify(value))
}

/** `text` is JSON. */
export function sendText(reply: FastifyReply, text: string): FastifyReply {
  return reply.header('content-type', 'application/json').send(text)
}

/**
 * Sends pieces as they come, at the pace of the reader, and resolves when the connection has them or is gone. A reader that takes
 * nothing for too long is cut off. `ahead`: bytes that are held for it at most, besides one piece.
 */
export async function sendStream(
  call: Call,
  pieces: AsyncIterable<Uint8Array | string>,
  ahead = 256 * 1024,
): Promise<FastifyReply> {
  const { reply } = call
  cutUnread(call)
  reply.send(Readable.from(noting(call, pieces), { objectMode: false, highWaterMark: ahead }))
  await closed(reply.raw)
  return reply
}

/** The same for bytes whose memory is nobody else's: it is given back as soon as the connection has them. */
export async function sendBytes(call: Call, pieces: AsyncIterable<Uint8Array>): Promise<FastifyReply> {
  const { reply, context } = call
  const { raw } = reply
  cutUnread(call)
  reply.hijack()
  if (context.draining.aborted) reply.header('connection', 'close')
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value)
  try {
    // While one is on its way, the next is made ready.
    let sent = Promise.resolve()
    for await (const piece of noting(call, pieces)) {
      await sent
      if (raw.destroyed) break
      sent = sendPiece(raw, piece)
    }
    raw.end()
  } catch {
    raw.destroy()
  }
  await closed(raw)
  return reply
}

/** Resolves when the connection has the piece, or is gone. */
function sendPiece(raw: ServerResponse, piece: Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    raw.once('close', resolve)
    raw.write(piece, (error) => {
      raw.off('close', resolve)
      if (!error) free(piece)
      resolve()
    })
  })
}

function cutUnread({ reply: { raw }, context: { bounds }, note }: Call): void {
  raw.setTimeout(bounds.unread, () => {
    note(new Error(`nothing of the answer was taken for ${bounds.unread} ms`))
    raw.destroy()
  })
}

/** What breaks off an answer cannot be told in it any more. */
async function* noting<T>(call: Call, pieces: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* pieces
  } catch (error) {
    call.note(error)
    throw error
  }
}

/** The signal aborts when nobody waits for the answer any more, or it takes too long to work out. */
export async function withinReason<T>(call: Call, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ending = new AbortController()
  const { verify } = call.context.bounds
  const gone = (): void => ending.abort(new BlobsError('Unavailable', 'nobody waited for the answer any more'))
  const late = (): void =>
    ending.abort(
      new BlobsError('TooLarge', `what was committed could not be checked within ${Math.round(verify / 1000)} s`, {
        hint: 'send such blobs by PUT, one by one',
      }),
    )
  const ended = (): void => ending.abort(call.lease.signal.reason)
  const cancel = after(call.context.clock, verify, late)
  call.reply.raw.once('close', gone)
  call.lease.signal.addEventListener('abort', ended)
  try {
    return await act(ending.signal)
  } finally {
    cancel()
    call.reply.raw.off('close', gone)
    call.lease.signal.removeEventListener('abort', ended)
  }
}

async function closed(response: ServerResponse): Promise<void> {
  if (!response.closed && !response.destroyed) await once(response, 'close')
}
