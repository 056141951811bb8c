import {
  ContentDamaged,
  readBody,
  readChunks,
  refsOnce,
  walk,
  type Body,
  type BodyRef,
  type ByteRange,
} from '../content/body.ts'
import { hasher, isHash, sha256, type Hash } from '../content/hash.ts'
import { MAX_FETCH_BYTES, type Fetched, type Want } from './contract/blob-store.ts'
import { BlobsError } from './contract/errors.ts'
import { free } from './contract/slabs.ts'
import type { BlobInfo, Chunk } from './contract/types.ts'
import type { Content } from './ports.ts'
import type { BlobVersion } from './view/view.ts'
import type { Witness } from './witness.ts'

/** Largest chunk that a store takes: list objects and chunks are far smaller. */
const MAX_STAGED_BYTES = 1024 * 1024
/** Bytes of small blobs that are read at once. */
const FETCH_BATCH = 4 * 1024 * 1024
const FETCH_BLOBS = 256
/** Chunks that are checked without a pause. */
const PIECES = 64
/** Sizes that are asked for without a pause. */
const SIZES = 1024
/** Hashes asked about at once. */
const MISSING_BATCH = 4096

/** A body that a writer wants to name, with what it says of it. */
export interface NamedBody {
  readonly key: string
  readonly hash: Hash
  readonly body: Body
}

/** Keeps a long check from keeping everything else from happening: awaited often, it throws when the check is to end. */
export type Pause = () => Promise<void>

/**
 * Throws `InvalidRequest` naming the key unless every chunk and list object of every body is in Content. Those that were set aside meanwhile are
 * put again.
 */
export async function checkPresent(content: Content, bodies: readonly NamedBody[], pause: Pause): Promise<void> {
  const asked = new Map<Hash, string>()
  const ask = async (): Promise<void> => {
    for (const hash of await content.missing([...asked.keys()])) {
      if (!(await putAgain(content, hash))) throw notStaged(asked.get(hash) ?? '', hash)
    }
    asked.clear()
  }
  const add = async (key: string, refs: readonly BodyRef[]): Promise<void> => {
    for (const { hash } of refs) {
      if (!asked.has(hash)) asked.set(hash, key)
      if (asked.size >= MISSING_BATCH) await ask()
    }
  }
  for (const { key, body } of bodies) {
    await naming(key, async () => {
      for await (const refs of refsOnce(body, (hashes) => content.get(hashes), pause)) await add(key, refs)
    })
  }
  if (asked.size > 0) await ask()
}

/** False for a chunk that is not aside. */
async function putAgain(content: Content, hash: Hash): Promise<boolean> {
  const [bytes] = content.sweeping?.aside === undefined ? [] : await content.get([hash])
  if (!bytes || sha256(bytes) !== hash) return false
  await content.put([{ hash, bytes }])
  return true
}

/**
 * Throws as `checkPresent`, and `Corrupt` naming the key unless the bytes of each body are those of its hash, and as many as it
 * says.
 */
export async function checkBytes(
  content: Content,
  bodies: readonly NamedBody[],
  pause: Pause,
  witness: Pick<Witness, 'hashOf'>,
): Promise<void> {
  const isOneChunk = ({ body }: NamedBody): boolean => body.depth === 0 && body.refs.length <= 1
  const others = bodies.filter((body) => !isOneChunk(body))
  await checkPresent(content, others, pause)
  await checkSizes(content, bodies.filter(isOneChunk), pause)
  for (const { key, hash, body } of others) {
    const seen = await naming(key, () => witness.hashOf(walk(body, (hashes) => content.get(hashes))))
    if (seen === hash) continue
    const whole = hasher()
    let pieces = 0
    await naming(key, async () => {
      for await (const { bytes } of readChunks(body, (hashes) => content.get(hashes))) {
        whole.update(bytes)
        free(bytes)
        if (++pieces % PIECES === 0) await pause()
      }
    })
    if (whole.digest('hex') === hash) continue
    await findDamage(content, key, body, pause)
    throw notItsBytes(key, hash)
  }
}

/** Throws `Corrupt` naming a chunk that is not what it was: then it was not the writer who erred. */
async function findDamage(content: Content, key: string, body: Body, pause: Pause): Promise<void> {
  let pieces = 0
  await naming(key, async () => {
    for await (const bytes of readBody(body, (hashes) => content.get(hashes))) {
      free(bytes)
      if (++pieces % PIECES === 0) await pause()
    }
  })
}

/** A blob of one chunk has the chunk's hash, which was checked when it came; how long that is, only the chunk tells. */
async function checkSizes(content: Content, bodies: readonly NamedBody[], pause: Pause): Promise<void> {
  const atOnce = content.sizes === undefined ? PIECES : SIZES
  for (let at = 0; at < bodies.length; at += atOnce) {
    const some = bodies.slice(at, at + atOnce)
    const sizes = await sizesOf(
      content,
      some.map(({ hash }) => hash),
    )
    for (const [index, { key, hash, body }] of some.entries()) {
      const [ref] = body.refs
      if (ref !== undefined && (sizes[index] ?? null) === null) throw notStaged(key, ref.hash)
      if ((sizes[index] ?? 0) !== (ref?.size ?? 0)) throw notItsBytes(key, hash)
    }
    await pause()
  }
}

async function sizesOf(content: Content, hashes: readonly Hash[]): Promise<readonly (number | null)[]> {
  if (content.sizes !== undefined) return content.sizes(hashes)
  return (await content.get(hashes)).map((bytes) => bytes?.length ?? null)
}

function notItsBytes(key: string, hash: Hash): BlobsError {
  return new BlobsError('Corrupt', `the chunks of ${key} are not the bytes of its hash ${hash}`, {
    key,
    hint: 'nothing was written: send it again',
  })
}

function notStaged(key: string, hash: Hash): BlobsError {
  return new BlobsError('InvalidRequest', `${key} names chunk ${hash}, which was not staged`, {
    key,
    hint: 'stage the chunks that are missing, then commit again',
  })
}

async function naming<T>(key: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof ContentDamaged && error.problem === 'missing') throw notStaged(key, error.hash)
    throw asCorrupt(error, key)
  }
}

/** Tells of damaged content which blob it hit; other errors stay as they are. */
function asCorrupt(error: unknown, key: string): unknown {
  if (!(error instanceof ContentDamaged)) return error
  return new BlobsError('Corrupt', `${key} is damaged: ${error.message}`, {
    key,
    cause: error,
    hint: 'an older version may be whole (blobs history), or another copy of the bucket',
  })
}

/** The bytes of a blob or of a range in it. The last piece is handed out once the whole is known to be right. */
export async function* readBlob(
  content: Content,
  { info, body }: BlobVersion,
  range: ByteRange,
): AsyncGenerator<Uint8Array, void> {
  if (range[1] < range[0]) return
  // A blob of one chunk has the chunk's hash, and that is checked anyway.
  const whole = isWhole(info, range) && (body.depth > 0 || body.refs.length > 1) ? hasher() : null
  let held: Uint8Array | null = null
  try {
    for await (const bytes of readBody(body, (hashes) => content.get(hashes), range)) {
      whole?.update(bytes)
      if (held !== null) yield held
      held = bytes
    }
  } catch (error) {
    throw asCorrupt(error, info.key)
  }
  if (whole !== null && whole.digest('hex') !== info.hash) {
    throw new BlobsError('Corrupt', `${info.key} is damaged: its chunks are not the bytes of its hash ${info.hash}`, {
      key: info.key,
    })
  }
  if (held !== null) yield held
}

/** The same for a reader who compares a whole blob himself: of one, only the length of each chunk is checked. */
export async function* readUncompared(
  content: Content,
  version: BlobVersion,
  range: ByteRange,
): AsyncGenerator<Uint8Array, void> {
  const { info, body } = version
  if (!isWhole(info, range)) return yield* readBlob(content, version, range)
  try {
    for await (const { bytes } of readChunks(body, (hashes) => content.get(hashes))) yield bytes
  } catch (error) {
    throw asCorrupt(error, info.key)
  }
}

function isWhole({ size }: BlobInfo, [first, last]: ByteRange): boolean {
  return first === 0 && last === size - 1
}

/** Refs of a body in order, in pages. */
export async function* refsOf(content: Content, { info, body }: BlobVersion): AsyncGenerator<readonly BodyRef[], void> {
  try {
    for await (const { refs } of walk(body, (hashes) => content.get(hashes))) yield refs
  } catch (error) {
    throw asCorrupt(error, info.key)
  }
}

/** Reads small blobs, many chunks at once; `look` finds a version, or null to leave it out. Throws `InvalidRequest` for one that is not small. */
export async function* readMany(
  content: Content,
  wants: readonly Want[],
  look: (wants: readonly Want[]) => Promise<readonly (BlobVersion | null)[]>,
): AsyncGenerator<Fetched, void> {
  let batch: BlobVersion[] = []
  let size = 0
  for (let at = 0; at < wants.length; at += FETCH_BLOBS) {
    for (const found of await look(wants.slice(at, at + FETCH_BLOBS))) {
      if (found === null) continue
      checkSmall(found.info)
      batch.push(found)
      size += found.info.size
      if (size < FETCH_BATCH && batch.length < FETCH_BLOBS) continue
      yield* readBatch(content, batch)
      batch = []
      size = 0
    }
  }
  yield* readBatch(content, batch)
}

function checkSmall({ key, size }: BlobInfo): void {
  if (size <= MAX_FETCH_BYTES) return
  throw new BlobsError('InvalidRequest', `${key} has ${size} bytes: too many to be fetched with others`, {
    key,
    hint: 'get it by itself',
  })
}

async function* readBatch(content: Content, blobs: readonly BlobVersion[]): AsyncGenerator<Fetched, void> {
  const simple = blobs.filter(({ body }) => body.depth === 0)
  const hashes = [...new Set(simple.flatMap(({ body }) => body.refs.map((ref) => ref.hash)))]
  const bytes = await content.get(hashes)
  const known = new Map(hashes.map((hash, index) => [hash, bytes[index] ?? null]))
  for (const blob of blobs) {
    const { info, body } = blob
    const source = body.depth === 0 ? pick(known) : content
    const pieces: Uint8Array[] = []
    for await (const piece of readBlob({ ...content, get: (asked) => source.get(asked) }, blob, [0, info.size - 1]))
      pieces.push(piece)
    const [first] = pieces
    yield {
      key: info.key,
      version: info.version,
      bytes: first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces),
    }
  }
}

function pick(known: ReadonlyMap<Hash, Uint8Array | null>): Pick<Content, 'get'> {
  return { get: async (hashes) => hashes.map((hash) => known.get(hash) ?? null) }
}

/** Throws `Corrupt` for a chunk whose bytes are not those of its hash, `TooLarge` for one that is none of ours. */
export function checkChunks(chunks: readonly Chunk[]): void {
  for (const { hash, bytes } of chunks) {
    if (bytes.length > MAX_STAGED_BYTES) {
      throw new BlobsError('TooLarge', `chunk ${hash} has ${bytes.length} bytes: ${MAX_STAGED_BYTES} are possible`)
    }
    if (sha256(bytes) === hash) continue
    throw new BlobsError('Corrupt', `the bytes sent for chunk ${hash} are not those of its hash`, {
      hint: 'they were altered on the way: send them again',
    })
  }
}

/** Throws `InvalidRequest` for text that is no hash. */
export function checkHashes(hashes: readonly Hash[]): void {
  const wrong = hashes.find((hash) => !isHash(hash))
  if (wrong !== undefined)
    throw new BlobsError('InvalidRequest', `${JSON.stringify(wrong)} is not a SHA-256 in lower-case hex`)
}
