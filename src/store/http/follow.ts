import { parseJson } from '../../protocol/json.ts'
import { chunksLine, feedLine } from '../../protocol/messages.ts'
import { problem } from '../../protocol/problems.ts'
import { bucketPath, keyPath, NDJSON_TYPE } from '../../protocol/routes.ts'
import { record } from '../../protocol/schema.ts'
import type { BodyRef } from '../../content/body.ts'
import type { ChangesOptions } from '../contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../contract/errors.ts'
import { checkKey } from '../contract/keys.ts'
import type { FeedItem } from '../contract/types.ts'
import { ask, lines, understood } from './client.ts'
import { fromProblem } from './failures.ts'
import type { Place } from './read.ts'
import type { Answer } from './transport.ts'

/** See `BlobStore.changes`. A live feed that was silent for 45 s, or that the server ended, throws `Unavailable`. */
export async function* followChanges(
  place: Place,
  { since, live = false, lastOf, signal }: ChangesOptions,
  closing: AbortSignal,
): AsyncGenerator<FeedItem, void, undefined> {
  const ending = signal === undefined ? closing : AbortSignal.any([signal, closing])
  if (ending.aborted) return
  const query = new URLSearchParams({
    ...(since === undefined ? {} : { since }),
    ...(live ? { live: 'true' } : {}),
    ...(lastOf === undefined ? {} : { lastOf }),
  })
  const path = `${bucketPath(place.bucket, 'changes')}${query.size === 0 ? '' : `?${query.toString()}`}`
  const outgoing = { method: 'GET' as const, path, headers: { accept: NDJSON_TYPE }, signal: ending }
  try {
    const answer = await ask(place.transport, { ...outgoing, feed: live }, 200)
    for await (const line of lines(answer, place.transport)) {
      const item = readItem(line, answer, place)
      const last = item.type === 'bookmark' && !live
      if (last) answer.finish()
      yield item
      if (ending.aborted || last) return
    }
    throw new BlobsError('Unavailable', `${place.transport.origin} ended the feed of ${place.bucket}`)
  } catch (error) {
    // The connection was ended by us.
    if (ending.aborted && isBlobsError(error, 'Unavailable')) return
    throw error
  }
}

function readItem(line: string, answer: Answer, { transport }: Place): FeedItem {
  const read = (): FeedItem | BlobsError =>
    parseJson<FeedItem | BlobsError>(line, (value, path) =>
      record(value, path)['type'] === 'problem' ? fromProblem(problem(value, path)) : feedLine(value, path),
    )
  const item = understood(answer, transport.origin, read)
  if (item instanceof BlobsError) throw item
  return item
}

/** See `BlobStore.chunksOf`. */
export async function readChunksOf(
  place: Place,
  key: string,
  version: number,
): Promise<AsyncGenerator<readonly BodyRef[], void, undefined> | null> {
  const path = `${keyPath(place.bucket, 'chunks-of', checkKey(key))}?version=${version}`
  try {
    const answer = await ask(place.transport, { method: 'GET', path }, 200)
    return refsOf(answer, place)
  } catch (error) {
    if (isBlobsError(error, 'NotFound') && error.key !== undefined) return null
    throw error
  }
}

async function* refsOf(answer: Answer, { transport }: Place): AsyncGenerator<readonly BodyRef[], void, undefined> {
  for await (const line of lines(answer, transport)) {
    const { refs, complete } = understood(answer, transport.origin, () => parseJson(line, chunksLine))
    if (refs !== undefined) yield refs
    if (complete) return
  }
  throw new BlobsError('Unavailable', `${transport.origin} ended the list of chunks before its end`)
}
