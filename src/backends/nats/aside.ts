import type { JsMsg } from '@nats-io/jetstream'
import type { Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { Aside, Removed, StoredChunk, Sweeping } from '../../store/ports.ts'
import { API, apiCodeOf } from './failures.ts'
import type { JetStream } from './jetstream.ts'
import type { BucketNames } from './names.ts'

/** Headers of a note that a chunk is set aside: the sequence of the chunk's message, and its bytes. */
const CHUNK = 'Blobs-Aside'
export const SIZE = 'Blobs-Size'
/** The notes, and removals, that are under way at the same time. */
const AT_ONCE = 16
const BATCH = 1000
/** Milliseconds for which it is taken as known whether anything is aside: who asks for chunks may be so much late (`keep/collect.ts`). */
const KNOWN = 30_000

export interface AsideOptions {
  readonly js: JetStream
  readonly names: BucketNames
  /** Throws `NotFound` once the bucket is removed. */
  readonly present: () => Promise<void>
  readonly clock: Clock
}

/**
 * A chunk is set aside by a note that names the sequence of its message. Who puts it again gives it another one, and the note says nothing any
 * more. A note is written, and replaced, only if it is still what its writer saw there: so of one who puts a chunk back and one who removes it
 * for good one only does it.
 */
export function natsSweeping(options: AsideOptions): Sweeping {
  const { js, names, present } = options
  return {
    now: async () => {
      await js.publish({ stream: names.chunks, subject: names.now, data: '' }, present)
      const message = await js.getLatest(names.chunks, { last_by_subj: names.now })
      return message?.time ?? Number.NaN
    },
    chunks: () => batches(js.scan(names.chunks, names.anyChunk), storedChunk),
    remove: async (chunks) => sumOf(chunks, await eachOf(chunks, AT_ONCE, (chunk) => setAside(options, chunk))),
    aside: notes(options),
  }
}

/** Tells whether anything is aside; asks every so often. */
export function openLookForAside({ js, names, clock }: AsideOptions): () => Promise<boolean> {
  let known: { readonly at: number; readonly any: boolean } | null = null
  return async () => {
    const at = clock.elapsed()
    if (known !== null && at - known.at < KNOWN) return known.any
    const first = await js.getLatest(names.chunks, { seq: 1, next_by_subj: names.anyAside })
    known = { at, any: first !== null }
    return known.any
  }
}

/** Whether the chunk whose message has this sequence is aside. */
export async function isAside({ js, names, present }: AsideOptions, hash: Hash, sequence: number): Promise<boolean> {
  // A note is written after the chunk that it is about.
  if ((await js.lastOf(names.chunks, names.aside(hash), present)) < sequence) return false
  const note = await js.getLatest(names.chunks, { last_by_subj: names.aside(hash) })
  return note !== null && Number(note.headers.get(CHUNK)) === sequence
}

/** False if it is aside already, or was put since it was listed. */
async function setAside(options: AsideOptions, { hash, size, tag = '' }: StoredChunk): Promise<boolean> {
  const { js, names, present } = options
  const sequence = await js.lastOf(names.chunks, names.chunk(hash), present)
  if (String(sequence) !== tag || (await isAside(options, hash, sequence))) return false
  const before = await js.lastOf(names.chunks, names.aside(hash), present)
  return (await writeNote(options, { hash, size, sequence, before })) !== null
}

interface Note {
  readonly hash: Hash
  readonly size: number
  /** Of the chunk's message. */
  readonly sequence: number
  /** Sequence of the note that it replaces; 0 for none. */
  readonly before: number
}

/** Gives its sequence; null if another note is there by now. */
async function writeNote(
  { js, names, present }: AsideOptions,
  { hash, size, sequence, before }: Note,
): Promise<number | null> {
  const headers = {
    [CHUNK]: String(sequence),
    [SIZE]: String(size),
    'Nats-Expected-Last-Subject-Sequence': String(before),
  }
  try {
    return (await js.publish({ stream: names.chunks, subject: names.aside(hash), data: '', headers }, present)).sequence
  } catch (error) {
    const code = apiCodeOf(error)
    if (code === API.wrongLastSequence || code === API.wrongLastSequenceUntold) return null
    throw error
  }
}

function notes(options: AsideOptions): Aside {
  const { js, names } = options
  return {
    chunks: () => batches(js.scan(names.chunks, names.anyAside), noted),
    restore: async (chunks) => {
      await eachOf(chunks, AT_ONCE, ({ tag }) => js.deleteMessage(names.chunks, noteOf(tag).note))
    },
    remove: async (chunks) => sumOf(chunks, await eachOf(chunks, AT_ONCE, (chunk) => removeChunk(options, chunk))),
  }
}

async function removeChunk(options: AsideOptions, { hash, size, tag }: StoredChunk): Promise<boolean> {
  const { js, names, present } = options
  const stream = names.chunks
  const { note, sequence } = noteOf(tag)
  // From here on it cannot be put back.
  const claim = await writeNote(options, { hash, size, sequence, before: note })
  if (claim === null) return false
  const isThere = (await js.lastOf(stream, names.chunk(hash), present)) === sequence
  if (isThere) await js.deleteMessage(stream, sequence)
  for (let index = 0; ; index++) {
    const part = await js.lastOf(stream, names.part(hash, index), present)
    if (part === 0) break
    // Parts come before what names them: these are of who puts it again.
    if (part < sequence) await js.deleteMessage(stream, part)
  }
  await js.deleteMessage(stream, claim)
  return isThere
}

function noteOf(tag = ''): { readonly note: number; readonly sequence: number } {
  const [note = 0, sequence = 0] = tag.split(' ').map(Number)
  return { note, sequence }
}

function storedChunk(message: JsMsg): StoredChunk {
  const { headers, seq, subject } = message
  const size = Number(headers?.get(SIZE) || headers?.get('Nats-Msg-Size') || 0)
  return { hash: subject.slice(-64), size, modified: timeOf(message), tag: String(seq) }
}

function noted(message: JsMsg): StoredChunk {
  const { headers, seq, subject } = message
  const tag = `${seq} ${headers?.get(CHUNK) ?? ''}`
  return { hash: subject.split('.').at(-2) ?? '', size: Number(headers?.get(SIZE)), modified: timeOf(message), tag }
}

function timeOf({ info }: JsMsg): number {
  return Math.floor(info.timestampNanos / 1e6)
}

async function* batches(
  messages: AsyncIterable<JsMsg>,
  read: (message: JsMsg) => StoredChunk,
): AsyncGenerator<readonly StoredChunk[]> {
  let batch: StoredChunk[] = []
  for await (const message of messages) {
    batch.push(read(message))
    if (batch.length < BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function sumOf(chunks: readonly StoredChunk[], done: readonly boolean[]): Removed {
  const some = chunks.filter((_, index) => done[index])
  return { chunks: some.length, bytes: some.reduce((sum, { size }) => sum + size, 0) }
}
