import { sha256 } from '../content/hash.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { patiently } from '../platform/sqlite.ts'
import type { StoreDisk } from '../platform/store-disk.ts'
import { fillWhole, filling } from './checkpoint/fill.ts'
import { isTrimmed, lostCheckpoint, newestCheckpoint, type KnownCheckpoint } from './checkpoint/newest.ts'
import { PageLost } from './checkpoint/page.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'
import { decodeEntry, type Entry, type EntryPointer } from './entry.ts'
import type { BucketPorts, Placed, Position } from './ports.ts'
import type { PlacedEntry } from './view/apply.ts'
import { openWaiters, shared } from './sharing.ts'
import { explainBusy, isFileFailure, keepView } from './view/keep.ts'
import { viewPath, type View } from './view/view.ts'

/** Milliseconds between two looks at a log whose `wait` keeps resolving with nothing new. */
const PAUSE = 5
/** Milliseconds after which the end of the view is compared with the log again: a log may be restored from a backup while it is read. */
const CHECK_EVERY = 1000
/** Looks at a log that is trimmed again and again while it is read. */
const TRIES = 4

/** Keeps a view up with its log. Callers at the same time share one read of the log. */
export interface Follower {
  /** Reads the log to its end as it is now, then looks at the view. */
  read<T>(look: (view: View) => T): Promise<T>
  /** Looks at the view as it is. */
  peek<T>(look: (view: View) => T): Promise<T>
  /** Resolves when the view is beyond `position`, or the signal aborts. All who wait share one wait on the log. */
  passed(position: Position, signal: AbortSignal): Promise<void>
  /** Whether the log was read to its end, some time ago at least. */
  hasRead(): boolean
  /**
   * Takes what this process has appended right behind `after`, so that the log need not be asked for it. Where the view is elsewhere by now,
   * or the entries cannot be taken, that is left to the next `read`.
   */
  took(after: Position, entries: readonly Placed[]): Promise<void>
  /** Compares the view with the log before it is read again: the log seems to have gone back in time. */
  doubt(): void
  /** Brings what the view lacks of the checkpoint that it was started from. */
  complete(): Promise<void>
  /** From now on the history behind a position counts as gone. */
  raiseFloor(floor: Position): Promise<void>
  close(): void
}

export interface FollowerOptions {
  readonly name: string
  readonly ports: BucketPorts
  /** Null: the view is kept in memory. */
  readonly viewDirectory: string | null
  /** Id of the log's first entry. */
  readonly epoch: string
  /** The newest there is, as far as is known. */
  readonly newest: KnownCheckpoint | null
  readonly clock: Clock
  readonly ids: Ids
  /** Where the view is; this machine's unless given. */
  readonly disk?: StoreDisk
}

export async function openFollower(options: FollowerOptions): Promise<Follower> {
  const { ports, clock, ids, disk } = options
  const path = options.viewDirectory === null ? null : viewPath(options.viewDirectory, options.epoch)
  const kept = await keepView({ path, bucket: options.name, clock, ids, ...(disk === undefined ? {} : { disk }) })
  let doubted = true
  let checked = 0
  let failure: unknown = null
  const beginning = openBeginning(ports, options.newest)
  const readUp = async (check: boolean): Promise<Position> => {
    const end = await readOn(kept.view(), ports, beginning, check)
    if (end !== null) return end
    await kept.view().reset()
    return (await readOn(kept.view(), ports, beginning, false)) ?? 0
  }
  const pull = async (): Promise<void> => {
    const failed = failure
    if (failed !== null && !(failed instanceof PageLost)) await kept.replace(failed)
    failure = null
    if (failed instanceof PageLost) await beginning.without(kept.view(), failed)
    const check = doubted || clock.elapsed() - checked > CHECK_EVERY
    const end = await trimmed(kept.view, ports, check, readUp)
    if (check) checked = clock.elapsed()
    doubted = false
    hasRead = true
    waiters.wake(end)
  }
  /** Acts once more on another view, if that may help. */
  const mending = async <T>(act: () => Promise<T>, mend: () => Promise<void>): Promise<T> => {
    try {
      return await act()
    } catch (error) {
      if (!isFileFailure(error) && !(error instanceof PageLost)) throw explainBusy(error)
      failure = error
    }
    await mend()
    return act()
  }
  const took = async (after: Position, placed: readonly Placed[]): Promise<void> => {
    if (placed.some(({ position }, index) => position !== after + 1 + index)) return
    const entries = await decodeBatch(placed, ports)
    await filling(kept.view, ports.content, () => kept.view().applyBehind(after, entries))
    waiters.wake(placed.at(-1)?.position ?? after)
  }
  let hasRead = false
  const catchUp = shared(() => mending(pull, async () => undefined))
  const look = <T>(reader: (view: View) => T): Promise<T> =>
    mending(
      () => filling(kept.view, ports.content, () => patiently(clock, () => lookStill(kept.view(), reader))),
      catchUp,
    )
  const position = async (): Promise<Position> => (await look((view) => view.state())).position
  const waiters = openWaiters(async (signal) => {
    const before = await position()
    // A log that was trimmed beyond the view has grown.
    await ports.log.wait({ after: before, signal }).catch(unlessExpired)
    if (signal.aborted) return
    await catchUp()
    if ((await position()) === before) await clock.sleep(PAUSE, signal)
  })
  return {
    read: async (reader) => {
      await catchUp()
      return look(reader)
    },
    peek: look,
    passed: async (at, signal) => {
      if ((await position()) <= at) await waiters.wait(at, signal)
    },
    hasRead: () => hasRead && !doubted,
    took: (after, entries) => took(after, entries).catch(() => undefined),
    doubt: () => {
      doubted = true
    },
    complete: () => mending(() => fillWhole(kept.view(), ports.content), catchUp),
    raiseFloor: (floor) => kept.view().raiseFloor(floor),
    close: () => {
      waiters.close()
      kept.close()
    },
  }
}

function lookStill<T>(view: View, reader: (view: View) => T): T {
  return view.still(() => reader(view))
}

function unlessExpired(error: unknown): void {
  if (!isBlobsError(error, 'CursorExpired')) throw error
}

/** Where a view begins that has read nothing. */
interface Beginning {
  /** At the newest checkpoint: true, unless there is none that can be used. */
  begin(view: View): Promise<boolean>
  /** The log does not hold where the checkpoint ends: it went back in time. */
  distrust(view: View): void
  /** Empties a view whose checkpoint lacks a page. Throws `Corrupt` if there is no other way to know what the bucket holds. */
  without(view: View, lost: PageLost): Promise<void>
}

function openBeginning(ports: BucketPorts, first: KnownCheckpoint | null): Beginning {
  const { trimming } = ports.log
  let known = first
  let useless = ''
  return {
    begin: async (view) => {
      const newest = known ?? (await newestCheckpoint(ports))
      known = null
      if (newest === null || newest.root === useless) return false
      await view.start({ ...newest, floor: (await trimming?.floor()) ?? 0 })
      return true
    },
    distrust: (view) => {
      useless = view.state().root
    },
    without: async (view, lost) => {
      const { root } = view.state()
      const newest = await trimming?.checkpoint()
      if (newest?.root === root) {
        if (await isTrimmed(ports.log)) throw lostCheckpoint(lost)
        useless = root
      }
      if (root !== '') await view.reset()
    },
  }
}

/** Looks again where the log's beginning was trimmed away: from the newest checkpoint, if it reaches farther than the view. */
async function trimmed(
  view: () => View,
  { log }: BucketPorts,
  check: boolean,
  read: (check: boolean) => Promise<Position>,
): Promise<Position> {
  for (let tries = 0; ; tries++) {
    try {
      return await read(check && tries === 0)
    } catch (error) {
      unlessExpired(error)
      // The entry where the view ended may be gone, and those behind it there.
      const { position } = view().state()
      if (tries >= TRIES) throw lostCheckpoint(error)
      if (position < ((await log.trimming?.floor()) ?? 0)) await view().reset()
    }
  }
}

/** Reads the log into the view; gives where it ends. Null, if `check`, when the log does not hold where the view ended what the view read there. */
async function readOn(view: View, ports: BucketPorts, beginning: Beginning, check: boolean): Promise<Position | null> {
  const begun = view.state().position === 0 && (await beginning.begin(view))
  const { position, entry } = view.state()
  let checked = !(check || begun) || position === 0
  let end = position
  for await (const batch of ports.log.read({ after: checked ? position : position - 1 })) {
    const [first] = batch
    if (!checked && (first?.position !== position || first.id !== entry)) break
    const entries = await decodeBatch(checked ? batch : batch.slice(1), ports)
    await filling(
      () => view,
      ports.content,
      () => view.apply(entries),
    )
    checked = true
    end = batch.at(-1)?.position ?? end
  }
  if (begun && !checked) beginning.distrust(view)
  return checked ? end : null
}

/** Entries as the log holds them, those that are in Content too. Throws `Corrupt`, `NotSupported`. */
export async function decodeBatch(
  batch: readonly Placed[],
  { content }: Pick<BucketPorts, 'content'>,
): Promise<readonly PlacedEntry[]> {
  const decoded = batch.map((raw) => ({ position: raw.position, entry: decodeEntry(raw) }))
  const pointers = decoded.flatMap(({ entry }) => ('content' in entry ? [entry] : []))
  if (pointers.length === 0) return decoded as readonly PlacedEntry[]
  const large = new Map<string, Entry>()
  for (const pointer of pointers) {
    // One at a time: each may be many megabytes.
    const [bytes] = await content.get([pointer.content])
    large.set(pointer.id, decodeLarge(pointer, bytes ?? null))
  }
  return decoded.map(({ position, entry }) => ({ position, entry: 'content' in entry ? whole(large, entry) : entry }))
}

function whole(large: ReadonlyMap<string, Entry>, { id }: EntryPointer): Entry {
  const entry = large.get(id)
  if (entry === undefined) throw new Error(`entry ${id} was not read`)
  return entry
}

function decodeLarge({ id, content }: EntryPointer, bytes: Uint8Array | null): Entry {
  if (bytes === null || sha256(bytes) !== content) {
    const problem = bytes === null ? 'is not there' : 'does not hold the bytes of its hash'
    throw new BlobsError('Corrupt', `entry ${id} of the log cannot be read: its content ${content} ${problem}`, {
      hint: 'the store was damaged: restore it from a backup, or copy the bucket from another place',
    })
  }
  const entry = decodeEntry({ id, data: bytes })
  if (!('content' in entry)) return entry
  throw new BlobsError('Corrupt', `entry ${id} of the log cannot be read: its content is again a pointer`)
}
