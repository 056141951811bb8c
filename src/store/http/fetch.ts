import { sha256 } from '../../content/hash.ts'
import { ABSENT, BadFrames, decodeFrames, FAILED } from '../../protocol/frames.ts'
import { parseJson } from '../../protocol/json.ts'
import { limits } from '../../protocol/limits.ts'
import { problem } from '../../protocol/problems.ts'
import { bucketPath, FRAMES_TYPE } from '../../protocol/routes.ts'
import { type Fetched, MAX_FETCH_BYTES, type Want } from '../contract/blob-store.ts'
import { BlobsError } from '../contract/errors.ts'
import { ask, jsonBody, ofType, understood } from './client.ts'
import { fromProblem, strange, unreachable } from './failures.ts'
import type { Place } from './read.ts'

/** See `BlobStore.fetch`. Up to a thousand blobs come with one request. */
export async function* fetchAll(place: Place, wants: readonly Want[]): AsyncGenerator<Fetched, void, undefined> {
  for (let at = 0; at < wants.length; at += limits.wants) yield* fetchSome(place, wants.slice(at, at + limits.wants))
}

async function* fetchSome(place: Place, wants: readonly Want[]): AsyncGenerator<Fetched, void, undefined> {
  const { transport, bucket } = place
  const body = jsonBody({ wants: wants.map(({ key, version }) => ({ key, version })) })
  const answer = await ask(transport, { method: 'POST', path: bucketPath(bucket, 'fetch'), body }, 200)
  await ofType(answer, FRAMES_TYPE, transport)
  let index = 0
  try {
    for await (const { label, bytes } of decodeFrames(answer.pieces(), MAX_FETCH_BYTES)) {
      if (label === FAILED) {
        const told = understood(answer, transport.origin, () => parseJson(Buffer.from(bytes).toString(), problem))
        throw fromProblem(told)
      }
      const want = wants[index++]
      if (want === undefined) throw strange(answer, transport.origin, 'more blobs than were asked for')
      if (label === ABSENT) continue
      if (sha256(bytes) !== label) {
        throw new BlobsError('Corrupt', `the bytes that came for ${want.key} are not those of their hash`, {
          key: want.key,
        })
      }
      yield { key: want.key, version: want.version, bytes }
    }
  } catch (error) {
    throw error instanceof BadFrames ? unreachable(error, transport.origin) : error
  }
  if (index < wants.length) throw strange(answer, transport.origin, 'fewer blobs than were asked for')
}
