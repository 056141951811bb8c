import type { Hash } from '../../content/hash.ts'
import type { StreamConfig } from './answers.ts'

/** A bucket as the registry has it. */
export interface BucketRecord {
  /** 32 hex digits, new for each bucket of that name. */
  readonly id: string
  readonly bucket: string
  readonly replicas: number
}

/** Names on the server; they last. Each bucket has streams of its own, by its id, which the registry of the place knows. */
export interface PlaceNames {
  readonly registry: string
  /** What all streams of the place take messages of. */
  readonly anySubject: string
  bucketSubject(bucket: string): string
  registryConfig(replicas: number): StreamConfig
  of(record: BucketRecord): BucketNames
}
export interface BucketNames {
  readonly log: string
  readonly chunks: string
  readonly logSubject: string
  /** Where the server tells of each entry that is stored, without its bytes; no stream keeps that. */
  readonly stored: string
  readonly checkpoint: string
  /** Of all chunks. */
  readonly anyChunk: string
  chunk(hash: Hash): string
  part(hash: Hash, index: number): string
  /** Of what says that a chunk was set aside. */
  aside(hash: Hash): string
  readonly anyAside: string
  /** Of what is written to learn the time. */
  readonly now: string
  readonly logConfig: StreamConfig
  readonly chunksConfig: StreamConfig
}

/** Nanoseconds for which a message that is tried again is known. */
const DUPLICATES = 120_000_000_000
const COMMON = {
  retention: 'limits',
  storage: 'file',
  discard: 'new',
  max_age: 0,
  max_bytes: -1,
  max_msgs: -1,
} as const

export function namesOf(place: string): PlaceNames {
  const registry = `BLOBS_${place}`
  const root = `blobs.${place}`
  return {
    registry,
    anySubject: `${root}.>`,
    bucketSubject: (bucket) => `${root}.bucket.${tokenOf(bucket)}`,
    registryConfig: (replicas) => ({
      ...COMMON,
      name: registry,
      description: `The buckets of blobs, in ${place}`,
      subjects: [`${root}.bucket.*`],
      num_replicas: replicas,
      max_msgs_per_subject: 1,
      duplicate_window: DUPLICATES,
    }),
    of: (record) => bucketNames(place, record),
  }
}

function bucketNames(place: string, { id, bucket, replicas }: BucketRecord): BucketNames {
  const stream = `BLOBS_${place}_${tokenOf(bucket)}_${id}`
  const root = `blobs.${place}.${id}`
  const [log, chunks] = [`${stream}_log`, `${stream}_chunks`]
  const common = { ...COMMON, num_replicas: replicas, duplicate_window: DUPLICATES, allow_direct: true }
  return {
    log,
    chunks,
    logSubject: `${root}.log`,
    stored: `${root}.stored`,
    checkpoint: `${root}.checkpoint`,
    anyChunk: `${root}.chunk.*`,
    chunk: (hash) => `${root}.chunk.${hash}`,
    part: (hash, index) => `${root}.part.${hash}.${index}`,
    // Among the parts, for streams that were made before take no others.
    aside: (hash) => `${root}.part.${hash}.aside`,
    anyAside: `${root}.part.*.aside`,
    now: `${root}.part.now.now`,
    logConfig: {
      ...common,
      name: log,
      description: `The log of the bucket ${bucket}`,
      subjects: [`${root}.log`],
      republish: { src: `${root}.log`, dest: `${root}.stored`, headers_only: true },
    },
    chunksConfig: {
      ...common,
      name: chunks,
      description: `The chunks of the bucket ${bucket}`,
      subjects: [`${root}.chunk.*`, `${root}.part.*.*`, `${root}.checkpoint`],
      // A chunk that is put again is the same chunk, and new.
      max_msgs_per_subject: 1,
    },
  }
}

/** A bucket's name without the dots that divide subjects; no name of a bucket has a `=`. */
function tokenOf(bucket: string): string {
  return bucket.replaceAll('.', '=')
}

/** The other way round, of the last token of a subject. */
export function bucketIn(subject: string): string {
  return (subject.split('.').at(-1) ?? '').replaceAll('=', '.')
}
