import type { Clock, Ids } from '../../platform/ports.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { splitFrames } from '../../store/objects/frame.ts'
import type { Log, Placed, Position } from '../../store/ports.ts'
import { behindAll, type FrameRow, type Index } from './index-file.ts'
import type { Reader } from './reader.ts'
import { decodeValue, encodeValue, keys, MOST_FRAME } from './records.ts'
import type { Wire } from './wire.ts'

/** Milliseconds between two looks: at first, and after nothing has come for a while. */
const LOOKS = [250, 2000] as const
/** How often a record is added whose answer is lost. */
const TRIES = 4
/** Frames that are read from the index together. */
const BATCH = 8

export interface BucketOptions {
  readonly wire: Wire
  readonly index: Index
  readonly reader: Reader
  readonly clock: Clock
  readonly ids: Ids
  readonly bucket: { readonly id: string; readonly name: string }
}

/** A log of frames, each in a record; the records' order is that of the log, and positions are counted: 1, 2, 3, … */
export function openLog(options: BucketOptions & { readonly maxEntryBytes: number }): Log {
  const { index, reader, ids, clock, bucket, maxEntryBytes } = options
  const closing = new AbortController()
  return {
    append: async (entries) => {
      const positions: Position[] = []
      for (const part of splitFrames(entries, { maxEntryBytes, maxFrameBytes: MOST_FRAME })) {
        checkBucket(options)
        const key = keys.log(bucket.id, ids.next())
        await addOnce(options, key, encodeValue(part))
        await reader.catchUp()
        checkBucket(options)
        const frame = frameOf(index, key)
        if (frame === null)
          throw new BlobsError('Unavailable', `record ${key} was added, and is not told`, { bucket: bucket.name })
        positions.push(...part.map((_, at) => frame.position + at))
      }
      return positions
    },
    read: async function* ({ after }) {
      await reader.catchUp()
      checkBucket(options)
      const first = index.db.get<{ position: Position | null }>(
        'SELECT max(position) AS position FROM frames WHERE bucket = ? AND position <= ?',
        bucket.id,
        after + 1,
      )
      let from = first?.position ?? 1
      for (;;) {
        const frames = index.db.all<FrameRow>(
          `SELECT position, behind, key, value FROM frames WHERE bucket = ? AND position >= ? ORDER BY position LIMIT ${BATCH}`,
          bucket.id,
          from,
        )
        if (frames.length === 0) return
        const entries = frames.flatMap(placed).filter(({ position }) => position > after)
        if (entries.length > 0) yield entries
        from = frames.at(-1)?.behind ?? from
      }
    },
    wait: async ({ after, signal }) => {
      const stop = AbortSignal.any([signal, closing.signal])
      for (let pause: number = LOOKS[0]; !stop.aborted; pause = Math.min(pause * 1.5, LOOKS[1])) {
        await reader.catchUp()
        checkBucket(options)
        if (behindAll(index.db, bucket.id) > after + 1) return
        await clock.sleep(pause, stop)
      }
    },
    close: async () => closing.abort(),
  }
}

/** Throws `NotFound` once the bucket was removed, as far as the index knows. */
export function checkBucket({ index, bucket }: Pick<BucketOptions, 'index' | 'bucket'>): void {
  const row = index.db.get('SELECT 1 FROM buckets WHERE id = ? AND remover IS NULL', bucket.id)
  if (row === undefined) throw new BlobsError('NotFound', `bucket ${bucket.name} was removed`, { bucket: bucket.name })
}

/** Adds a record; one whose answer is lost is looked up, and added again under its key, which counts once, if it is not there. */
async function addOnce({ wire, reader, index }: BucketOptions, key: string, value: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await wire.add(key, value)
    } catch (error) {
      if (tries === TRIES || !isBlobsError(error, 'Unavailable')) throw error
    }
    await reader.catchUp()
    if (frameOf(index, key) !== null) return
  }
}

function frameOf(index: Index, key: string): FrameRow | null {
  return index.db.get<FrameRow>('SELECT position, behind, key, value FROM frames WHERE key = ?', key) ?? null
}

function placed({ position, key, value }: FrameRow): readonly Placed[] {
  return decodeValue(key, value).map((entry, at) => ({ ...entry, position: position + at }))
}
