import { isHash, sha256, type Hash } from './hash.ts'

/**
 * How a blob's bytes are found. At depth 0 the refs are its chunks in order; at depth n each ref is a list object in Content
 * that holds refs of depth n-1. `size` of a ref counts the blob's bytes below it. The empty blob has no refs.
 */
export interface Body {
  readonly depth: number
  readonly refs: readonly BodyRef[]
}
export interface BodyRef {
  readonly hash: Hash
  readonly size: number
}

/** Refs that a body names itself; more go into list objects. */
export const MAX_INLINE_REFS = 16
/** Refs in a list object. */
export const MAX_LIST_REFS = 4096
const REF_BYTES = 40

/** Bytes with their address. */
export interface Addressed {
  readonly hash: Hash
  readonly bytes: Uint8Array
}
/** Bytes by address, in the order asked; null for what is not there. Not verified. */
export type GetContent = (hashes: readonly Hash[]) => Promise<readonly (Uint8Array | null)[]>
/** First and last byte, inclusive. */
export type ByteRange = readonly [first: number, last: number]
/** Chunks that follow each other; the first begins at byte `offset` of the blob. */
export interface Span {
  readonly offset: number
  readonly refs: readonly BodyRef[]
}

/** A chunk or list object is not there, or its bytes are not what its address says. */
export class ContentDamaged extends Error {
  readonly hash: Hash
  readonly problem: 'missing' | 'altered'

  constructor(hash: Hash, problem: 'missing' | 'altered') {
    super(problem === 'missing' ? `chunk ${hash} is not there` : `chunk ${hash} does not hold the bytes of its hash`)
    this.name = 'ContentDamaged'
    this.hash = hash
    this.problem = problem
  }
}

/** The bytes of a list object: for each ref 32 bytes of hash and 8 of size, big-endian. */
export function encodeList(refs: readonly BodyRef[]): Uint8Array {
  const bytes = Buffer.alloc(refs.length * REF_BYTES)
  for (const [index, ref] of refs.entries()) {
    bytes.write(ref.hash, index * REF_BYTES, 'hex')
    bytes.writeBigUInt64BE(BigInt(ref.size), index * REF_BYTES + 32)
  }
  return bytes
}

/** Throws `ContentDamaged` naming `hash` unless the bytes are a list object. */
export function decodeList(hash: Hash, bytes: Uint8Array): readonly BodyRef[] {
  const count = bytes.length / REF_BYTES
  if (!Number.isInteger(count) || count < 1 || count > MAX_LIST_REFS) throw new ContentDamaged(hash, 'altered')
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Array.from({ length: count }, (_, index) => {
    const at = index * REF_BYTES
    const size = Number(view.readBigUInt64BE(at + 32))
    // A ref that holds nothing is never written: with many of them a body would have no bytes and no end.
    if (!Number.isSafeInteger(size) || size === 0) throw new ContentDamaged(hash, 'altered')
    return { hash: view.toString('hex', at, at + 32), size }
  })
}

/** Makes a body from its chunks, in order; holds at most one unfinished list of each depth. */
export interface BodyBuilder {
  /** Gives the list objects that are full now: they belong into Content before the body is named. */
  add(ref: BodyRef): readonly Addressed[]
  /** Gives the body and the list objects that were not given before. */
  finish(): { readonly body: Body; readonly lists: readonly Addressed[] }
}

export function bodyBuilder(): BodyBuilder {
  const levels: BodyRef[][] = [[]]
  const made: Addressed[] = []
  const close = (depth: number): void => {
    const refs = levels[depth] ?? []
    const bytes = encodeList(refs)
    const hash = sha256(bytes)
    made.push({ hash, bytes })
    levels[depth] = []
    put(depth + 1, { hash, size: refs.reduce((sum, ref) => sum + ref.size, 0) })
  }
  const put = (depth: number, ref: BodyRef): void => {
    const refs = (levels[depth] ??= [])
    refs.push(ref)
    if (refs.length === MAX_LIST_REFS) close(depth)
  }
  return {
    add: (ref) => {
      put(0, ref)
      return made.splice(0)
    },
    finish: () => {
      let depth = 0
      for (; depth < levels.length - 1 || (levels[depth]?.length ?? 0) > MAX_INLINE_REFS; depth++) {
        if (levels[depth]?.length) close(depth)
      }
      return { body: { depth, refs: levels[depth] ?? [] }, lists: made.splice(0) }
    },
  }
}

/** True if the value has the shape of a body whose refs add up to `size` bytes: what a stranger sends is checked with this. */
export function isBody(body: Body, size: number): boolean {
  const { depth, refs } = body
  if (!Number.isInteger(depth) || depth < 0 || depth > MAX_DEPTH || refs.length > MAX_INLINE_REFS) return false
  if (!refs.every((ref) => isHash(ref.hash) && Number.isSafeInteger(ref.size) && ref.size > 0)) return false
  return total(refs) === size
}

// 16 × 4096³ chunks: more than any blob has.
const MAX_DEPTH = 3

function total(refs: readonly BodyRef[]): number {
  return refs.reduce((sum, ref) => sum + ref.size, 0)
}

/**
 * The chunks of a body in order, or those that hold some byte of `range`; reads only the list objects on the way to them.
 * Throws `ContentDamaged` for a list object that is missing, altered, or does not add up.
 */
export async function* walk(body: Body, get: GetContent, range: ByteRange = EVERYTHING): AsyncGenerator<Span, void> {
  yield* walkRefs({ offset: 0, refs: body.refs }, body.depth, get, range)
}

const EVERYTHING: ByteRange = [0, Number.POSITIVE_INFINITY]

async function* walkRefs(all: Span, depth: number, get: GetContent, range: ByteRange): AsyncGenerator<Span, void> {
  const { offset, refs } = within(all, range)
  if (refs.length === 0) return
  if (depth === 0) {
    yield { offset, refs }
    return
  }
  let at = offset
  for (const ref of refs) {
    const bytes = (await get([ref.hash]))[0] ?? null
    const below = decodeList(ref.hash, verified(ref.hash, bytes))
    if (total(below) !== ref.size) throw new ContentDamaged(ref.hash, 'altered')
    yield* walkRefs({ offset: at, refs: below }, depth - 1, get, range)
    at += ref.size
  }
}

function within(span: Span, [first, last]: ByteRange): Span {
  let offset = span.offset
  let from = 0
  for (let ref = span.refs[from]; ref !== undefined && offset + ref.size <= first; ref = span.refs[++from]) {
    offset += ref.size
  }
  let to = from
  for (let at = offset, ref = span.refs[to]; ref !== undefined && at <= last; ref = span.refs[++to]) at += ref.size
  return { offset, refs: span.refs.slice(from, to) }
}

function verified(hash: Hash, bytes: Uint8Array | null): Uint8Array {
  if (bytes === null) throw new ContentDamaged(hash, 'missing')
  if (sha256(bytes) !== hash) throw new ContentDamaged(hash, 'altered')
  return bytes
}

/**
 * Every ref of a body, on all levels, in no order that matters; a list object is read once however often it is named, so that the work
 * is bounded by what is in Content, and not by the size that a body claims. Throws as `walk`. `pause` is awaited at each list.
 */
export async function* refsOnce(
  body: Body,
  get: GetContent,
  pause: () => Promise<void>,
): AsyncGenerator<readonly BodyRef[], void> {
  const seen = new Set<string>()
  const visit = async function* (refs: readonly BodyRef[], depth: number): AsyncGenerator<readonly BodyRef[], void> {
    yield refs
    for (const { hash, size } of depth === 0 ? [] : refs) {
      const name = `${depth} ${size} ${hash}`
      if (seen.has(name)) continue
      seen.add(name)
      await pause()
      const below = decodeList(hash, verified(hash, (await get([hash]))[0] ?? null))
      if (total(below) !== size) throw new ContentDamaged(hash, 'altered')
      yield* visit(below, depth - 1)
    }
  }
  yield* visit(body.refs, body.depth)
}

/** Bytes asked of `get` at once, and chunks, should they be smaller than they say; as much again is fetched ahead. */
const READ_BATCH = 2 * 1024 * 1024
const READ_CHUNKS = 64

/**
 * The bytes of a body, or of `range` in it, piece by piece; every chunk is checked against its hash before it is handed out.
 * The next pieces are fetched while these are used; holds about 4 MiB. Throws `ContentDamaged`.
 */
export async function* readBody(
  body: Body,
  get: GetContent,
  range: ByteRange = EVERYTHING,
): AsyncGenerator<Uint8Array, void> {
  for await (const { ref, offset, bytes } of readChunks(body, get, range)) {
    verified(ref.hash, bytes)
    yield bytes.subarray(Math.max(0, range[0] - offset), Math.min(ref.size, range[1] + 1 - offset))
  }
}

/** A chunk's bytes as `get` gave them; it begins at byte `offset` of the blob. */
interface ReadChunk {
  readonly ref: BodyRef
  readonly offset: number
  readonly bytes: Uint8Array
}

/** As `readBody`, but whole chunks, of which only the length is checked: for one who checks the whole. */
export async function* readChunks(
  body: Body,
  get: GetContent,
  range: ByteRange = EVERYTHING,
): AsyncGenerator<ReadChunk, void> {
  const spans = batches(walk(body, get, range))
  let ahead = fetchNext(spans, get)
  for (let batch = await ahead; batch !== null; batch = await ahead) {
    ahead = fetchNext(spans, get)
    let { offset } = batch.span
    for (const [index, ref] of batch.span.refs.entries()) {
      const bytes = batch.contents[index] ?? null
      if (bytes === null) throw new ContentDamaged(ref.hash, 'missing')
      if (bytes.length !== ref.size) throw new ContentDamaged(ref.hash, 'altered')
      yield { ref, offset, bytes }
      offset += ref.size
    }
  }
}

interface Batch {
  readonly span: Span
  readonly contents: readonly (Uint8Array | null)[]
}

function fetchNext(spans: AsyncIterator<Span, void>, get: GetContent): Promise<Batch | null> {
  const fetching = spans.next().then(async (next): Promise<Batch | null> => {
    if (next.done) return null
    return { span: next.value, contents: await get(next.value.refs.map((ref) => ref.hash)) }
  })
  // The reader may stop before it asks for this one: its failure then concerns nobody.
  fetching.catch(() => undefined)
  return fetching
}

async function* batches(spans: AsyncIterable<Span>): AsyncGenerator<Span, void> {
  for await (const span of spans) {
    let { offset } = span
    let refs: BodyRef[] = []
    let size = 0
    for (const ref of span.refs) {
      if (refs.length === READ_CHUNKS || (refs.length > 0 && size + ref.size > READ_BATCH)) {
        yield { offset, refs }
        offset += size
        refs = []
        size = 0
      }
      refs.push(ref)
      size += ref.size
    }
    yield { offset, refs }
  }
}
