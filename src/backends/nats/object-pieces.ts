import { hasher, type Hash } from '../../content/hash.ts'
import type { Ids } from '../../platform/ports.ts'
import type { JetStream } from './jetstream.ts'
import type { Meta, ObjectNames } from './object-meta.ts'

/** Pieces that are sent at the same time, and asked for. */
const SENT = 32
const ASKED = 16

export interface Objects {
  readonly js: JetStream
  readonly names: ObjectNames
  readonly ids: Ids
  readonly pieceBytes: number
}

export async function sendPieces(
  objects: Objects,
  nuid: string,
  source: AsyncIterable<Uint8Array>,
): Promise<{ readonly hash: Hash; readonly size: number; readonly chunks: number }> {
  const sum = hasher()
  let [size, chunks, last] = [0, 0, 0]
  let together: Uint8Array[] = []
  for await (const data of cut(source, objects.pieceBytes)) {
    sum.update(data)
    size += data.length
    chunks += 1
    together.push(data)
    if (together.length < SENT) continue
    last = await sendTogether(objects, nuid, together, last)
    together = []
  }
  await sendTogether(objects, nuid, together, last)
  return { hash: sum.digest('hex'), size, chunks }
}

/**
 * Sends pieces one behind the other, without waiting for each, and gives the sequence of the last. Where one was lost, and sent again behind
 * those that followed it, they are taken back and sent anew.
 */
async function sendTogether(
  { js, names, ids }: Objects,
  nuid: string,
  pieces: readonly Uint8Array[],
  last: number,
): Promise<number> {
  const [stream, subject] = [names.stream, names.pieces(nuid)]
  for (;;) {
    const sent = await Promise.all(pieces.map((data) => js.publish({ stream, subject, data, once: ids.next() })))
    const sequences = sent.map(({ sequence }) => sequence)
    if (sequences.every((sequence, index) => sequence > (sequences[index - 1] ?? last))) return sequences.at(-1) ?? last
    for (const sequence of sequences) await js.deleteMessage(stream, sequence)
  }
}

/** Pieces of the same length, but the last; each in memory of its own. */
async function* cut(source: AsyncIterable<Uint8Array>, length: number): AsyncGenerator<Uint8Array> {
  let piece = Buffer.allocUnsafeSlow(length)
  let filled = 0
  for await (const bytes of source) {
    for (let at = 0; at < bytes.length;) {
      const count = Math.min(length - filled, bytes.length - at)
      piece.set(bytes.subarray(at, at + count), filled)
      filled += count
      at += count
      if (filled < length) continue
      yield piece
      piece = Buffer.allocUnsafeSlow(length)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}

/**
 * The pieces of an object in order. Mostly each comes right behind the one before: so the next some sequences are asked for together, each for
 * the first piece from there on. Where other objects lie in between, several get the same answer; then it is fewer.
 */
export async function* readPieces({ js, names }: Objects, { nuid, chunks }: Meta): AsyncGenerator<Uint8Array> {
  const next_by_subj = names.pieces(nuid)
  let [from, left, count] = [1, chunks, 1]
  while (left > 0) {
    const asked = Array.from({ length: Math.min(count, left) }, (_, index) => from + index)
    const found = await Promise.all(asked.map((seq) => js.get(names.stream, { seq, next_by_subj })))
    let fresh = 0
    for (const message of found) {
      // None is left: the hash will tell whether one is missing.
      if (message === null) return
      if (message.sequence < from) continue
      fresh += 1
      from = message.sequence + 1
      yield message.data
    }
    left -= fresh
    count = fresh === asked.length ? Math.min(ASKED, count * 2) : Math.max(1, count >> 1)
  }
}
