import type { Hash } from '../../content/hash.ts'
import { encodeFrames, PASSAGES, type Frame } from '../../protocol/frames.ts'
import { limits } from '../../protocol/limits.ts'
import { commitAnswer, missingAnswer, stagedAnswer } from '../../protocol/messages.ts'
import { bucketPath, FRAMES_TYPE } from '../../protocol/routes.ts'
import type { Passage } from '../contract/blob-store.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Chunk, EntryInput, Outcome } from '../contract/types.ts'
import { askJson, jsonBody, jsonText } from './client.ts'
import type { Place } from './read.ts'

/** A request carries up to about this much. */
const BATCH_BYTES = 8 * 1024 * 1024

/** A server reads what it is to commit before it answers: at least so many bytes a millisecond. */
const VERIFIED_PER_MS = 20_000

/** See `BlobStore.commit`. Thousands of entries travel in several requests, in order. */
export async function commitAll(place: Place, entries: readonly EntryInput[]): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = []
  const most = { items: limits.entries, weight: limits.changes, bytes: BATCH_BYTES }
  const written = entries.map(writtenDown)
  for (const batch of batches(written, most, ({ entry, text }) => ({
    weight: entry.changes.length,
    bytes: text.length,
  }))) {
    const answer = await askJson(
      place.transport,
      {
        method: 'POST',
        path: bucketPath(place.bucket, 'commit'),
        body: jsonText(`{"entries":[${batch.map(({ text }) => text).join(',')}]}`),
        extra: batch.reduce((sum, { entry }) => sum + bytesOf(entry), 0) / VERIFIED_PER_MS,
      },
      commitAnswer,
    )
    const told = new Map(answer.outcomes.map((outcome) => [outcome.id, outcome]))
    for (const {
      entry: { id },
    } of batch)
      outcomes.push(told.get(id) ?? unknown(id, place))
  }
  return outcomes
}

interface Written {
  readonly entry: EntryInput
  readonly text: string
}

/** Without its author, who is whom the token names, unless the entry is a copy: of others a server takes no other's word for it. */
function writtenDown(entry: EntryInput): Written {
  const { author, ...sent } = entry
  return { entry, text: JSON.stringify(entry.time === undefined ? sent : { ...sent, author }) }
}

function bytesOf({ changes }: Pick<EntryInput, 'changes'>): number {
  return changes.reduce((sum, change) => sum + (change.type === 'put' ? change.size : 0), 0)
}

function unknown(id: string, { transport }: Place): never {
  throw new BlobsError('Unavailable', `${transport.origin} did not say what became of entry ${id}`)
}

/** See `BlobStore.missing`. */
export async function missingOf(place: Place, hashes: readonly Hash[]): Promise<readonly Hash[]> {
  const found: Hash[] = []
  for (let at = 0; at < hashes.length; at += limits.hashes) {
    const body = jsonBody({ hashes: hashes.slice(at, at + limits.hashes) })
    const path = bucketPath(place.bucket, 'chunks/missing')
    found.push(...(await askJson(place.transport, { method: 'POST', path, body }, missingAnswer)).missing)
  }
  return found
}

/** See `BlobStore.stage`. */
export async function stageAll(
  place: Place,
  chunks: readonly Chunk[],
  passages: readonly Passage[] = [],
): Promise<void> {
  const frames = chunks.map(({ hash, bytes }): Frame => ({ label: hash, bytes }))
  const most = { items: limits.chunks, weight: limits.chunks, bytes: BATCH_BYTES }
  const all = [...batches(frames, most, ({ bytes }) => ({ weight: 1, bytes: bytes.length }))]
  // What they tell of must be there with the frames of one request, or before: so they go with the last.
  const last = all.pop() ?? []
  for (const batch of all) await stageFrames(place, batch, batch.length)
  if (last.length > 0 || passages.length > 0) {
    await stageFrames(place, passages.length === 0 ? last : [passagesFrame(passages), ...last], last.length)
  }
}

async function stageFrames(place: Place, frames: readonly Frame[], chunks: number): Promise<void> {
  const body = { type: FRAMES_TYPE, pieces: encodeFrames(frames) }
  const path = bucketPath(place.bucket, 'chunks')
  const { staged } = await askJson(place.transport, { method: 'POST', path, body }, stagedAnswer)
  if (staged === chunks) return
  throw new BlobsError('Unavailable', `${place.transport.origin} took ${staged} of ${chunks} chunks`)
}

function passagesFrame(passages: readonly Passage[]): Frame {
  return { label: PASSAGES, bytes: Buffer.from(JSON.stringify(passages)) }
}

interface Size {
  readonly weight: number
  readonly bytes: number
}

/** Runs of items within the bounds; one that is beyond them alone makes a run of its own. */
function* batches<T>(
  items: readonly T[],
  most: Size & { readonly items: number },
  sizeOf: (item: T) => Size,
): Generator<readonly T[], void> {
  let batch: T[] = []
  let weight = 0
  let bytes = 0
  for (const item of items) {
    const size = sizeOf(item)
    const full = batch.length >= most.items || weight + size.weight > most.weight || bytes + size.bytes > most.bytes
    if (full && batch.length > 0) {
      yield batch
      batch = []
      weight = 0
      bytes = 0
    }
    batch.push(item)
    weight += size.weight
    bytes += size.bytes
  }
  if (batch.length > 0) yield batch
}
