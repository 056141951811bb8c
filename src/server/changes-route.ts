import type { FastifyReply } from 'fastify'
import { mayIn } from '../access/grant.ts'
import { EVENTS_TYPE, NDJSON_TYPE } from '../protocol/routes.ts'
import { Malformed } from '../protocol/schema.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { FeedItem } from '../store/contract/types.ts'
import { type Call, forbid, sendStream, useBucket } from './call.ts'
import { eventsFormat, feedText, ndjsonFormat } from './feed.ts'
import { problemOf } from './problems.ts'
import { flagParameter, readQuery, textParameter } from './query.ts'

/** A feed that nobody reads holds no more than this, and a piece. */
const AHEAD = 32 * 1024

/** `GET …/changes`: what happened after a cursor; live, what happens from then on. */
export async function followChanges(call: Call): Promise<FastifyReply> {
  const { since, live, lastOf } = readQuery(call.query, {
    since: textParameter,
    live: flagParameter,
    lastOf: textParameter,
  })
  if (lastOf !== undefined && (since !== undefined || live === true)) {
    throw new Malformed('lastOf', 'not to be combined with since and live')
  }
  if (!mayIn(call.grant, 'read', call.bucket)) forbid(call, `read the changes of ${call.bucket}`)
  const events = call.request.headers.accept?.includes(EVENTS_TYPE) ?? false
  // A browser's EventSource names the last bookmark it saw when it connects again.
  const from = events ? (lastEventId(call) ?? since) : since
  const goesOn = lastOf === undefined && (live ?? events)
  const lifetime = feedLifetime(call, goesOn)
  try {
    return await useBucket(sawToo(call, from), async (store) => {
      const source = store.changes({
        ...(from === undefined ? {} : { since: from }),
        live: goesOn,
        ...(lastOf === undefined ? {} : { lastOf }),
        signal: lifetime.signal,
      })
      const items = source[Symbol.asyncIterator]()
      // The first item is awaited before anything is said: a cursor that does not hold is then a proper answer.
      const first = await items.next()
      call.reply.header('content-type', events ? EVENTS_TYPE : NDJSON_TYPE).header('cache-control', 'no-store')
      const text = feedText(after(first, items), {
        format: events ? eventsFormat : ndjsonFormat,
        heartbeat: call.context.bounds.heartbeat,
        clock: call.context.clock,
        end: (error) => {
          const reason = error ?? lifetime.reason()
          if (reason === null) return null
          const problem = problemOf(reason)
          if (error !== null && problem.status >= 500) call.note(error)
          return problem
        },
      })
      return sendStream(call, text, AHEAD)
    })
  } finally {
    lifetime.end()
  }
}

/** The place from which somebody goes on is one that he has seen. */
function sawToo(call: Call, since: string | undefined): Call {
  const { sight } = call
  return since === undefined ? call : { ...call, sight: { ...sight, seen: [...sight.seen, since] } }
}

function lastEventId({ request }: Call): string | undefined {
  const { 'last-event-id': id } = request.headers
  return typeof id === 'string' && id !== '' ? id : undefined
}

function after(
  first: IteratorResult<FeedItem, unknown>,
  rest: AsyncIterator<FeedItem, unknown>,
): AsyncIterator<FeedItem, unknown> {
  let held: IteratorResult<FeedItem, unknown> | null = first
  return {
    next: () => {
      const next = held
      held = null
      return next === null ? rest.next() : Promise.resolve(next)
    },
    return: async () => {
      await rest.return?.()
      return { done: true, value: undefined }
    },
  }
}

interface Lifetime {
  readonly signal: AbortSignal
  /** Why the server ended the feed; null when it did not. */
  reason(): BlobsError | null
  end(): void
}

/** A feed ends with its connection, with its token, and when the server stops. */
function feedLifetime({ context, lease, request, reply }: Call, goesOn: boolean): Lifetime {
  const controller = new AbortController()
  let reason: BlobsError | null = null
  const end = (why: BlobsError | null): void => {
    reason ??= why
    // With a reason of ours none is made, which would cost more than all the rest.
    controller.abort('over')
  }
  const stop = (): void => end(new BlobsError('Unavailable', 'the server is stopping', { retryAfter: 1000 }))
  const gone = (): void => end(null)
  const expire = (): void => end(lease.signal.reason as BlobsError)
  const ends = [
    [context.stopping, stop],
    [lease.signal, expire],
  ] as const
  for (const [signal, act] of ends) {
    signal.addEventListener('abort', act)
    if (signal.aborted) act()
  }
  reply.raw.on('close', gone)
  const leave = goesOn ? context.meter.open('changes', request) : () => undefined
  return {
    signal: controller.signal,
    reason: () => reason,
    end: () => {
      for (const [signal, act] of ends) signal.removeEventListener('abort', act)
      reply.raw.off('close', gone)
      leave()
    },
  }
}
