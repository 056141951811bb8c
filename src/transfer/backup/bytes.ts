import { bodyBuilder, type Addressed, type Body, type BodyRef } from '../../content/body.ts'
import { SMALL } from '../../content/chunker.ts'
import { sha256, type Hash } from '../../content/hash.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo, Chunk } from '../../store/contract/types.ts'
import { stageStream } from '../../store/contract/upload.ts'
import { until } from '../context.ts'
import { ordered } from '../pool.ts'

export interface Carrying {
  readonly source: BlobStore
  readonly target: BlobStore
  readonly signal: AbortSignal
  /** Told of bytes that are in the target now, whether they had to be sent or not. */
  readonly onBytes: (bytes: number) => void
}
/** What became of the bytes of a version: where they are in the target; no more, as its bucket does not keep them; or damaged. */
export type Carried = Body | 'dropped' | BlobsError

const STAGE_BYTES = 4 * 1024 * 1024
const LARGE_AT_ONCE = 4

/** The source's bytes are not what they were. */
class Damaged extends Error {
  readonly found: BlobsError

  constructor(found: BlobsError) {
    super(found.message)
    this.found = found
  }
}

/**
 * Brings the bytes of versions into the target, where they are not there yet, and compares all that travel with their hashes; by hash. Of
 * equal bytes any version will do that has them still.
 */
export async function carryBytes(
  carrying: Carrying,
  versions: readonly BlobInfo[],
): Promise<ReadonlyMap<Hash, Carried>> {
  const wanted = new Map<Hash, BlobInfo[]>()
  for (const info of versions) if (!info.deleted) wanted.set(info.hash, [info, ...(wanted.get(info.hash) ?? [])])
  const carried = new Map<Hash, Carried>()
  const small: BlobInfo[][] = []
  const large: BlobInfo[][] = []
  for (const [hash, same] of wanted) {
    const kept = same.filter((info) => info.dropped !== true)
    const [first] = kept
    if (first === undefined) carried.set(hash, 'dropped')
    else if (first.size === 0) carried.set(hash, { depth: 0, refs: [] })
    else (first.size <= SMALL ? small : large).push(kept)
  }
  await carrySmall(carrying, small, carried)
  const each = ordered(large, LARGE_AT_ONCE, async (same) => {
    return [same[0]?.hash ?? '', await firstWhole(same, (info) => carryLarge(carrying, info))] as const
  })
  for await (const [hash, result] of each) carried.set(hash, result)
  return carried
}

/** Tries one version after the other until one has its bytes. */
async function firstWhole(
  same: readonly BlobInfo[],
  carry: (info: BlobInfo) => Promise<Body | null>,
): Promise<Carried> {
  let result: Carried = 'dropped'
  for (const info of same) {
    try {
      const body = await carry(info)
      if (body !== null) return body
    } catch (error) {
      if (!(error instanceof Damaged)) throw error
      result = error.found
    }
  }
  return result
}

/** A small blob is one chunk with the blob's hash, so that the target can be asked for it without asking the source. */
async function carrySmall(
  carrying: Carrying,
  blobs: readonly (readonly BlobInfo[])[],
  carried: Map<Hash, Carried>,
): Promise<void> {
  const { target, onBytes } = carrying
  const newest = blobs.flatMap(([first]) => first ?? [])
  const missing = new Set(newest.length === 0 ? [] : await target.missing(newest.map(({ hash }) => hash)))
  const stager = openStager(target)
  const fetched = new Set<Hash>()
  await fetchWhole(
    carrying,
    newest.filter(({ hash }) => missing.has(hash)),
    async (info, bytes) => {
      fetched.add(info.hash)
      await stager.add({ hash: info.hash, bytes })
    },
  )
  for (const same of blobs) {
    const [{ hash, size } = { hash: '', size: 0 }] = same
    const body = { depth: 0, refs: [{ hash, size }] }
    const isThere = !missing.has(hash) || fetched.has(hash)
    const alone = async (info: BlobInfo): Promise<Body | null> => {
      const bytes = await readAlone(carrying, info)
      if (bytes !== null) await stager.add({ hash, bytes })
      return bytes === null ? null : body
    }
    carried.set(hash, isThere ? body : await firstWhole(same, alone))
    onBytes(size)
  }
  await stager.flush()
}

/** Gives what is whole; the rest is to be asked for alone, where it gets its own error. */
async function fetchWhole(
  { source, signal }: Carrying,
  infos: readonly BlobInfo[],
  take: (info: BlobInfo, bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  if (infos.length === 0) return
  const wanted = new Map(infos.map((info) => [`${info.version}/${info.key}`, info]))
  try {
    const wants = infos.map(({ key, version }) => ({ key, version }))
    for await (const { key, version, bytes } of until(source.fetch(wants), signal)) {
      const info = wanted.get(`${version}/${key}`)
      if (info !== undefined && sha256(bytes) === info.hash) await take(info, bytes)
    }
  } catch (error) {
    if (!isBlobsError(error, 'Corrupt')) throw error
  }
}

/** Null for what the bucket does not keep any more. */
async function readAlone(carrying: Carrying, info: BlobInfo): Promise<Uint8Array | null> {
  const pieces: Uint8Array[] = []
  const stream = await openBytes(carrying, info)
  if (stream === null) return null
  for await (const bytes of stream) pieces.push(bytes)
  const bytes = Buffer.concat(pieces)
  if (sha256(bytes) !== info.hash) throw new Damaged(otherBytes(info))
  return bytes
}

/** The bytes of a version, or of a range of them; `Damaged` is thrown where the source finds them so. */
async function openBytes(
  { source, signal }: Carrying,
  { key, version }: BlobInfo,
  range?: readonly [number, number],
): Promise<AsyncIterable<Uint8Array> | null> {
  const blob = await source.get(key, range === undefined ? { version } : { version, range })
  return blob === null ? null : telling(until(blob.stream, signal))
}

async function* telling<T>(source: AsyncIterable<T>): AsyncGenerator<T> {
  try {
    yield* source
  } catch (error) {
    throw isBlobsError(error, 'Corrupt') ? new Damaged(error) : error
  }
}

/** Null as `readAlone`. A blob that the target has in part is asked for in part. */
async function carryLarge(carrying: Carrying, info: BlobInfo): Promise<Body | null> {
  const { source, target, onBytes } = carrying
  const pages = await source.chunksOf(info.key, info.version)
  if (pages === null) return null
  const builder = bodyBuilder()
  const stager = openStager(target)
  let at = 0
  for await (const refs of telling(pages)) {
    const missing = new Set(await target.missing(refs.map(({ hash }) => hash)))
    if (at === 0 && refs.every(({ hash }) => missing.has(hash))) return carryWhole(carrying, info)
    await carryMissing(carrying, info, { at, refs, missing }, stager)
    for (const ref of refs) {
      for (const list of builder.add(ref)) await stager.add(list)
      at += ref.size
      onBytes(ref.size)
    }
  }
  const { body, lists } = builder.finish()
  for (const list of lists) await stager.add(list)
  await stager.flush()
  if (at !== info.size) throw new Damaged(otherBytes(info))
  return body
}

/** As `carryLarge`, of a blob that the target seems to know nothing of: as one stream, compared with the hash of the whole, too. */
async function carryWhole(carrying: Carrying, info: BlobInfo): Promise<Body | null> {
  const stream = await openBytes(carrying, info)
  if (stream === null) return null
  const { hash, body } = await stageStream(carrying.target, stream, { onBytes: carrying.onBytes })
  if (hash !== info.hash) throw new Damaged(otherBytes(info))
  return body
}

interface Chunks {
  /** Bytes of the blob before them. */
  readonly at: number
  readonly refs: readonly BodyRef[]
  readonly missing: ReadonlySet<Hash>
}

async function carryMissing(carrying: Carrying, info: BlobInfo, chunks: Chunks, stager: Stager): Promise<void> {
  for (const { first, refs } of runsOf(chunks)) {
    const size = refs.reduce((sum, ref) => sum + ref.size, 0)
    const stream = await openBytes(carrying, info, [first, first + size - 1])
    if (stream === null) throw new Damaged(otherBytes(info))
    const waiting = refs.values()
    let ref = waiting.next().value
    let held = Buffer.alloc(0)
    for await (const bytes of stream) {
      held = Buffer.concat([held, bytes])
      for (; ref !== undefined && held.length >= ref.size; ref = waiting.next().value) {
        const chunk = held.subarray(0, ref.size)
        if (sha256(chunk) !== ref.hash) throw new Damaged(otherBytes(info))
        await stager.add({ hash: ref.hash, bytes: chunk })
        held = held.subarray(ref.size)
      }
    }
    if (ref !== undefined) throw new Damaged(otherBytes(info))
  }
}

/** Neighbours that are missing. */
function runsOf({ at, refs, missing }: Chunks): readonly { readonly first: number; readonly refs: BodyRef[] }[] {
  const runs: { readonly first: number; readonly refs: BodyRef[] }[] = []
  let position = at
  let open = false
  for (const ref of refs) {
    const isMissing = missing.has(ref.hash)
    if (isMissing && open) runs.at(-1)?.refs.push(ref)
    else if (isMissing) runs.push({ first: position, refs: [ref] })
    open = isMissing
    position += ref.size
  }
  return runs
}

interface Stager {
  add(chunk: Chunk | Addressed): Promise<void>
  /** Resolves when all that was added is staged. */
  flush(): Promise<void>
}

/** Stages chunks some megabytes at a time. */
function openStager(target: BlobStore): Stager {
  let held: Chunk[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    const chunks = held
    held = []
    bytes = 0
    if (chunks.length > 0) await target.stage(chunks)
  }
  return {
    add: async (chunk) => {
      held.push(chunk)
      bytes += chunk.bytes.length
      if (bytes >= STAGE_BYTES) await flush()
    },
    flush,
  }
}

function otherBytes({ key, version, hash }: BlobInfo): BlobsError {
  return new BlobsError('Corrupt', `version ${version} of ${key} does not have the bytes of its hash ${hash}`, { key })
}
