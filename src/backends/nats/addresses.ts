import { hasher, isHash, type Hash } from '../../content/hash.ts'
import type { Clock, Ids } from '../../platform/ports.ts'
import { checkAddress, verified, type AddressedInfo, type AddressStore } from '../../store/contract/addresses.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { AddressDriver } from '../../store/ports.ts'
import { API, apiCodeOf } from './failures.ts'
import { openJetStream, type JetStream, type StreamConfig } from './jetstream.ts'
import { objectBucketIn, readOptions } from './options.ts'
import { openWire } from './wire.ts'

/** Bytes of a message of an object, as NATS' own clients cut them. */
const PIECE = 128 * 1024
/** Messages that are under way at the same time. */
const AT_ONCE = 32
/** Pieces that are asked for at the same time. */
const MOST = 16
const REPLICAS = 3
const BATCH = 1000
const DIGEST = 'SHA-256='

/** An Object Store bucket of JetStream, whose objects are called by their SHA-256: `nats+obj://host:4222/BUCKET`. */
export const natsAddresses: AddressDriver = {
  open: async (address, context) => {
    const [options, bucket] = [readOptions(address), objectBucketIn(address)]
    const { clock, ids } = context
    const wire = await openWire(options, context)
    try {
      const js = openJetStream(wire, { options, clock, ids })
      await js.check()
      const store = openObjects({
        js,
        names: objectNames(bucket, options.replicas ?? (wire.cluster === null ? 1 : REPLICAS)),
        clock,
        ids,
        pieceBytes: Math.min(PIECE, wire.maxPayload - 1024),
        text: options.text,
      })
      return { ...store, close: () => wire.close() }
    } catch (error) {
      await wire.close()
      throw error
    }
  },
}

/** What is known of an object, as NATS' clients write it (ADR-20). */
interface Meta {
  readonly name: string
  readonly bucket: string
  /** Names the object's messages. */
  readonly nuid: string
  readonly size: number
  readonly chunks: number
  readonly digest: string
  readonly mtime?: string
  readonly deleted?: boolean
  readonly description?: string
  readonly options?: { readonly link?: unknown; readonly max_chunk_size?: number }
}
interface FoundMeta {
  /** 0: there never was one. */
  readonly sequence: number
  /** Null: there is none, or it was deleted. */
  readonly meta: Meta | null
}
interface ObjectNames {
  readonly bucket: string
  readonly stream: string
  /** Of all objects. */
  readonly anyMeta: string
  meta(name: string): string
  pieces(nuid: string): string
  readonly config: StreamConfig
}
interface Objects {
  readonly js: JetStream
  readonly names: ObjectNames
  readonly clock: Clock
  readonly ids: Ids
  readonly pieceBytes: number
  readonly text: string
}

function openObjects(objects: Objects): Omit<AddressStore, 'close'> {
  const { js, names, text } = objects
  const find = async (hash: Hash): Promise<Meta | null> => {
    const { meta } = await findMeta(objects, checkAddress(hash))
    if (meta !== null) checkMeta(objects, meta)
    return meta
  }
  return {
    find: async (hash) => {
      const meta = await find(hash)
      return meta === null ? null : infoOf(meta)
    },
    put: async (source, { expected } = {}) => {
      await makeBucket(objects)
      const there = expected === undefined ? null : await find(expected)
      return there === null ? putObject(objects, source, expected) : { hash: there.name, size: there.size }
    },
    get: async (hash) => {
      const meta = await find(hash)
      if (meta === null) return null
      return { info: infoOf(meta), stream: verified(readPieces(objects, meta), hash, text) }
    },
    list: async function* () {
      if ((await js.stream(names.stream)) === null) throw noBucket(objects)
      for await (const subjects of js.subjects(names.stream, names.anyMeta)) {
        const hashes = subjects.map(nameIn).filter(isHash)
        for (let at = 0; at < hashes.length; at += BATCH) {
          const found = await eachOf(hashes.slice(at, at + BATCH), AT_ONCE, (hash) => findMeta(objects, hash))
          const batch = found.flatMap(({ meta }) => (meta === null ? [] : [infoOf(meta)]))
          if (batch.length > 0) yield batch
        }
      }
    },
  }
}

function objectNames(bucket: string, replicas: number): ObjectNames {
  const [stream, root] = [`OBJ_${bucket}`, `$O.${bucket}`]
  return {
    bucket,
    stream,
    anyMeta: `${root}.M.>`,
    meta: (name) => `${root}.M.${base64url(Buffer.from(name))}`,
    pieces: (nuid) => `${root}.C.${nuid}`,
    config: {
      name: stream,
      subjects: [`${root}.C.>`, `${root}.M.>`],
      num_replicas: replicas,
      retention: 'limits',
      storage: 'file',
      discard: 'new',
      max_age: 0,
      allow_rollup_hdrs: true,
      allow_direct: true,
    },
  }
}

/** With the padding that the format has, and Node leaves out. */
function base64url(bytes: Buffer): string {
  const text = bytes.toString('base64url')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

/** The object's name in the subject of what is known of it. */
function nameIn(subject: string): string {
  return Buffer.from(subject.split('.').at(-1) ?? '', 'base64url').toString('utf8')
}

async function makeBucket({ js, names }: Objects): Promise<void> {
  if ((await js.stream(names.stream)) !== null) return
  try {
    await js.createStream(names.config)
  } catch (error) {
    if (apiCodeOf(error) !== API.nameInUse) throw error
  }
}

async function findMeta(objects: Objects, hash: Hash): Promise<FoundMeta> {
  const { js, names } = objects
  try {
    const message = await js.getLatest(names.stream, { last_by_subj: names.meta(hash) })
    if (message === null) return { sequence: 0, meta: null }
    const meta = parseMeta(message.data)
    return { sequence: message.sequence, meta: meta.deleted === true ? null : meta }
  } catch (error) {
    if (apiCodeOf(error) === API.streamNotFound) throw noBucket(objects)
    throw error
  }
}

/** Sends the pieces under a name of their own; the object is there, as a whole, with its meta, which the first to come writes. */
async function putObject(
  objects: Objects,
  source: AsyncIterable<Uint8Array>,
  expected: Hash | undefined,
): Promise<{ readonly hash: Hash; readonly size: number }> {
  const { js, names, ids, pieceBytes } = objects
  const nuid = ids.next()
  const discard = (): Promise<void> => js.purge(names.stream, { filter: names.pieces(nuid) })
  try {
    const sent = await sendPieces(objects, nuid, source)
    const { hash, size, chunks } = sent
    if (expected !== undefined && hash !== expected) throw changed()
    const meta = {
      name: hash,
      description: '',
      options: { max_chunk_size: pieceBytes },
      bucket: names.bucket,
      nuid,
      size,
      chunks,
      mtime: new Date(objects.clock.now()).toISOString(),
      digest: `${DIGEST}${base64url(Buffer.from(hash, 'hex'))}`,
      deleted: false,
    } satisfies Meta
    if (!(await placeMeta(objects, meta))) await discard()
    return { hash, size }
  } catch (error) {
    // It is told either way.
    await discard().catch(() => undefined)
    throw error
  }
}

/** False if another object has the name. */
async function placeMeta(objects: Objects, meta: Meta): Promise<boolean> {
  const { js, names, ids } = objects
  const once = ids.next()
  for (;;) {
    const before = await findMeta(objects, meta.name)
    if (before.meta !== null) return before.meta.nuid === meta.nuid
    try {
      await js.publish({
        stream: names.stream,
        subject: names.meta(meta.name),
        data: JSON.stringify(meta),
        headers: { 'Nats-Rollup': 'sub', 'Nats-Expected-Last-Subject-Sequence': String(before.sequence) },
        once,
      })
      return true
    } catch (error) {
      if (apiCodeOf(error) !== API.wrongLastSequence && apiCodeOf(error) !== API.wrongLastSequenceUntold) throw error
    }
  }
}

async function sendPieces(
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
    if (together.length < AT_ONCE) continue
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
async function* readPieces({ js, names }: Objects, { nuid, chunks }: Meta): AsyncGenerator<Uint8Array> {
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
    count = fresh === asked.length ? Math.min(MOST, count * 2) : Math.max(1, count >> 1)
  }
}

function parseMeta(data: Uint8Array): Meta {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8')) as Meta
  } catch (cause) {
    throw new BlobsError('Corrupt', 'what is known of an object cannot be read', { cause })
  }
}

/** An object that is called by a hash holds its bytes, by its own word; else it is another's. */
function checkMeta({ text }: Objects, { name, digest = '', options }: Meta): void {
  if (options?.link !== undefined && options.link !== null) {
    throw new BlobsError('NotSupported', `${text}: the object ${name} is a link to another one`, {
      hint: 'get it with the tools of NATS',
    })
  }
  const there = digest.startsWith(DIGEST) ? Buffer.from(digest.slice(DIGEST.length), 'base64url').toString('hex') : ''
  if (there === name) return
  throw new BlobsError('Corrupt', `${text}: the object ${name} has other bytes than its name says, by its digest`, {
    hint: 'whoever put it there did not call it by its SHA-256',
  })
}

function infoOf({ name, size, mtime }: Meta): AddressedInfo {
  return { hash: name, size, modified: Date.parse(mtime ?? '') || 0 }
}

function noBucket({ names, text }: Objects): BlobsError {
  return new BlobsError('NotFound', `${text}: there is no object bucket ${names.bucket}`, {
    hint: 'the first blobs put --address makes it',
  })
}

function changed(): BlobsError {
  return new BlobsError('Unavailable', 'the bytes changed while they were read', {
    hint: 'try again when nothing writes to them',
  })
}
