import { isHash, type Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import {
  checkAddress,
  verified,
  type AddressedInfo,
  type AddressStore,
  type Expected,
} from '../../store/contract/addresses.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { AddressDriver } from '../../store/ports.ts'
import { API, apiCodeOf } from './failures.ts'
import { openJetStream } from './jetstream.ts'
import { checkMeta, digestOf, nameIn, objectNames, parseMeta, type Meta } from './object-meta.ts'
import { readPieces, sendPieces, type Objects as Pieces } from './object-pieces.ts'
import { objectBucketIn, readOptions } from './options.ts'
import { openWire } from './wire.ts'

/** Bytes of a message of an object, as NATS' own clients cut them. */
const PIECE = 128 * 1024
/** Questions that are under way at the same time. */
const AT_ONCE = 32
const REPLICAS = 3
const BATCH = 1000

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

interface FoundMeta {
  /** 0: there never was one. */
  readonly sequence: number
  /** Null: there is none, or it was deleted. */
  readonly meta: Meta | null
}
interface Objects extends Pieces {
  readonly clock: Clock
  readonly text: string
}

function openObjects(objects: Objects): Omit<AddressStore, 'close'> {
  const { js, names, text } = objects
  const find = async (hash: Hash): Promise<Meta | null> => {
    const { meta } = await findMeta(objects, checkAddress(hash))
    if (meta !== null) checkMeta(text, meta)
    return meta
  }
  return {
    find: async (hash) => {
      const meta = await find(hash)
      return meta === null ? null : infoOf(meta)
    },
    put: async (source, { expected } = {}) => {
      await makeBucket(objects)
      const there = expected === undefined ? null : await find(expected.hash)
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
  expected: Expected | undefined,
): Promise<{ readonly hash: Hash; readonly size: number }> {
  const { js, names, ids, pieceBytes } = objects
  const nuid = ids.next()
  const discard = (): Promise<void> => js.purge(names.stream, { filter: names.pieces(nuid) })
  let sent: Awaited<ReturnType<typeof sendPieces>>
  try {
    sent = await sendPieces(objects, nuid, source)
    if (expected !== undefined && sent.hash !== expected.hash) throw changed()
  } catch (error) {
    // It is told either way.
    await discard().catch(() => undefined)
    throw error
  }
  const { hash, size, chunks } = sent
  const meta = {
    name: hash,
    description: '',
    options: { max_chunk_size: pieceBytes },
    bucket: names.bucket,
    nuid,
    size,
    chunks,
    mtime: new Date(objects.clock.now()).toISOString(),
    digest: digestOf(hash),
    deleted: false,
  } satisfies Meta
  // Where it is not known whether this was stored, the pieces stay: it may have been.
  if (!(await placeMeta(objects, meta))) await discard()
  return { hash, size }
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
