import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Log, Placed, Position, RawEntry } from '../../store/ports.ts'
import { appendInOrder, ENTRY } from './append.ts'
import { isLed, type StoredMessage, type StreamState } from './answers.ts'
import type { JetStream } from './jetstream.ts'
import type { BucketNames } from './names.ts'
import { openTrimming } from './trimming.ts'
import type { Wire } from './wire.ts'
import type { Ids } from '../../platform/ports.ts'

/** Entries that are asked for at the same time: at first, at most, and bytes of a batch beyond which it is fewer. */
const FIRST = 32
const MOST = 512
const MOST_BYTES = 4 * 1024 * 1024
/** Milliseconds between two looks while nothing is heard: a message that tells of an entry may be lost. */
const LOOK = 5000
/** Milliseconds for which a stream without a leader that is sure of itself, or whose leader knows less than this process, is asked again. */
const BEHIND = 5000
const BEHIND_PAUSE = 50

export interface NatsLogOptions {
  readonly js: JetStream
  readonly wire: Wire
  readonly names: BucketNames
  readonly clock: Clock
  readonly ids: Ids
  readonly maxEntryBytes: number
  /** Throws `NotFound` once the bucket is removed. */
  readonly present: () => Promise<void>
}

/** A log that is a stream: an entry is a message, its position the sequence. */
export function openNatsLog(options: NatsLogOptions): Log {
  const { js, names, ids, maxEntryBytes, present } = options
  const closing = new AbortController()
  /** The last position that this process was told of. */
  let known: Position = 0
  const state = async (): Promise<StreamState> => {
    const found = await stateOf(options, known)
    known = found.last
    return found
  }
  const enqueue = openQueue((entries) =>
    appendInOrder({ js, ids, stream: names.log, subject: names.logSubject, present }, entries),
  )
  const ears = openEars(options, closing.signal)
  const trimming = openTrimming({ js, names, present, state })
  return {
    append: async (entries) => {
      const large = entries.find(({ data }) => data.length > maxEntryBytes)
      if (large !== undefined) throw new BlobsError('TooLarge', `entry ${large.id} has ${large.data.length} bytes`)
      if (entries.length === 0) return []
      const positions = await enqueue(entries)
      known = Math.max(known, ...positions.slice(-1))
      return positions
    },
    read: ({ after }) => readBehind(options, after, state),
    wait: ({ after, signal }) => ears.wait(after, signal, async () => (await state()).last),
    trimming,
    close: async () => {
      closing.abort()
      ears.close()
    },
  }
}

/** One call at a time: two would come between each other's entries. */
function openQueue(
  append: (entries: readonly RawEntry[]) => Promise<readonly Position[]>,
): (entries: readonly RawEntry[]) => Promise<readonly Position[]> {
  let last: Promise<unknown> = Promise.resolve()
  return (entries) => {
    const result = last.then(() => append(entries))
    last = result.catch(() => undefined)
    return result
  }
}

/**
 * What the leader says; one that has just become it may not have heard yet what this process was told, and is asked again. Where nobody
 * leads, one of those who hold the stream answers what it knows, which others may know better.
 */
async function stateOf({ js, names, clock, present }: NatsLogOptions, known: Position): Promise<StreamState> {
  const started = clock.elapsed()
  for (;;) {
    const found = await js.stream(names.log)
    if (found === null) {
      await present()
      throw new BlobsError('Unavailable', `the stream ${names.log} is not there`, {
        hint: 'is the server still starting? if it was deleted by hand, restore it from a backup',
      })
    }
    const late = clock.elapsed() - started > BEHIND
    const led = isLed(found)
    // A log that stays behind went back in time, to a backup perhaps: then that is the log.
    if (led && (found.last >= known || late)) return found
    if (!led && late) throw unled(names.log)
    await clock.sleep(BEHIND_PAUSE)
  }
}

function unled(stream: string): BlobsError {
  return new BlobsError('Unavailable', `nobody leads the stream ${stream} now who hears from most of its servers`, {
    hint: 'is a majority of the cluster there? it is tried again',
  })
}

async function* readBehind(
  { js, names, present }: NatsLogOptions,
  after: Position,
  state: () => Promise<StreamState>,
): AsyncGenerator<readonly Placed[]> {
  const { first, last } = await state()
  checkFloor(first, after)
  let count = FIRST
  for (let next = after + 1; next <= last;) {
    const some = Array.from({ length: Math.min(count, last - next + 1) }, (_, index) => next + index)
    const found = await Promise.all(some.map((seq) => js.get(names.log, { seq }, present)))
    if (found.includes(null)) {
      checkFloor((await state()).first, next - 1)
      throw missingEntry(names.log, some[found.indexOf(null)] ?? next)
    }
    const batch = found.flatMap((message) => (message === null ? [] : [placed(message)]))
    yield batch
    const bytes = batch.reduce((sum, { data }) => sum + data.length, 0)
    count = bytes > MOST_BYTES ? Math.max(1, count >> 1) : Math.min(MOST, count * 2)
    next += some.length
  }
}

function checkFloor(first: Position, after: Position): void {
  if (after >= first - 1) return
  throw new BlobsError('CursorExpired', `the log was trimmed up to position ${first - 1}: ${after} is behind that`)
}

function missingEntry(stream: string, position: Position): BlobsError {
  return new BlobsError('Corrupt', `entry ${position} of the log ${stream} is missing: the log goes on behind it`, {
    hint: 'was a message deleted by hand? restore the stream from a backup, or copy the bucket from another place',
  })
}

function placed({ sequence, data, headers }: StoredMessage): Placed {
  return { position: sequence, id: headers.get(ENTRY) ?? '', data }
}

interface Ears {
  wait(after: Position, signal: AbortSignal, look: () => Promise<Position>): Promise<void>
  close(): void
}

/** Hears of entries from the server as it stores them, whoever sent them. */
function openEars({ wire, names, clock }: NatsLogOptions, closing: AbortSignal): Ears {
  let heard: Position = 0
  const waiting = new Set<() => void>()
  let stop: (() => void) | null = null
  const listen = (): void => {
    stop ??= wire.listen(names.stored, (headers) => {
      heard = Math.max(heard, Number(headers?.get('Nats-Sequence') ?? 0))
      for (const wake of waiting) wake()
    })
  }
  return {
    wait: async (after, given, look) => {
      const signal = AbortSignal.any([given, closing])
      if (signal.aborted || heard > after) return
      listen()
      await wire.settled()
      while (!signal.aborted) {
        const sound = openSound(waiting)
        // Whatever is stored after this look is heard.
        if (heard > after || (await look()) !== after) return sound.end()
        const rest = new AbortController()
        await Promise.race([sound.heard, clock.sleep(LOOK, AbortSignal.any([signal, rest.signal]))])
        rest.abort()
        sound.end()
        if (heard > after) return
      }
    },
    close: () => stop?.(),
  }
}

function openSound(waiting: Set<() => void>): { readonly heard: Promise<void>; end(): void } {
  let wake: () => void = () => undefined
  const heard = new Promise<void>((resolve) => (wake = resolve))
  waiting.add(wake)
  return { heard, end: () => void waiting.delete(wake) }
}
