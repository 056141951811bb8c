import type { Clock, FileSystem, Ids, OpenFolder } from '../../platform/ports.ts'
import type { Path, Reason, Step } from '../core/types.ts'
import { applyBatch } from './batch.ts'
import { confine } from './confine.ts'
import type { DiskContext } from './context.ts'
import { openJournal } from './journal.ts'
import { takeLateWrites } from './late.ts'
import { checkRoot, OWN_FOLDER, type Root } from './marker.ts'
import type { Identity, Observation } from './observed.ts'
import { findPlaced, type Unclear } from './placed.ts'
import { recover } from './recover.ts'
import { pruneTrash } from './trash.ts'

/** Where the bytes of a download come from: the bucket, if they were not fetched already, or a file of this folder that has the same ones. */
export type Source =
  | { readonly from: 'memory'; readonly bytes: Uint8Array }
  | { readonly from: 'bucket'; readonly open: () => AsyncIterable<Uint8Array> }
  | { readonly from: 'disk'; readonly path: Path; readonly orElse: () => AsyncIterable<Uint8Array> }

/** One step for the disk, with what it needs. */
export type DiskWork =
  | {
      readonly step: Extract<Step, { type: 'download' }>
      /** Null only for a folder, or when just the mode changes. */
      readonly source: Source | null
      readonly mtimeNs: bigint | null
      /** As recorded in the local tree; lets the last look do without reading the file. */
      readonly identity: Identity | null
    }
  | { readonly step: Extract<Step, { type: 'delete-local' }>; readonly identity: Identity | null }
  | {
      readonly step: Extract<Step, { type: 'conflict' }>
      /** Null only when `step.remote` is. */
      readonly source: Source | null
      readonly mtimeNs: bigint | null
      readonly identity: Identity | null
    }

export type DiskResult =
  | {
      readonly type: 'done'
      /** Every path that is another one now, as it is now: the path itself, a sibling, empty folders that came or went. */
      readonly now: readonly Observation[]
      /** The conflict file that was made, or was there with these bytes. Also when a save landed in the very instant of a replacement. */
      readonly sibling: Path | null
    }
  /** The disk is not what the plan saw; what is there stands. Look again (at the sibling too, if there is one), plan again. */
  | { readonly type: 'dropped'; readonly sibling: Path | null }
  /** The name is as it was. `error` is what the system or the source said, or null. */
  | { readonly type: 'failed'; readonly reason: Reason; readonly error: unknown }

export interface ApplyOptions {
  /** A folder that is to stay although it became empty (the bucket has its marker). Default: none. */
  readonly keepFolder?: (folder: Path) => boolean
  readonly onBytes?: (count: number) => void
  /** Told once all bytes are staged and durable, before the first name changes: see `placed`. What it throws ends the work there. */
  readonly onPlacing?: (placings: readonly { readonly path: Path; readonly op: string }[]) => void
  /** Told the results, once they are durable, before the traces go by which `placed` tells what happened. Synchronous. */
  readonly onResults?: (results: readonly DiskResult[]) => void
  /** What was not begun is dropped. */
  readonly signal?: AbortSignal
}

/** The folder's side of a transition. One at a time per root. */
export interface Disk {
  /**
   * Does all it can: stages the bytes, makes them durable as a group, looks a last time, then acts. Results in the order of the work.
   * When it returns, what is `done` is durable. Throws `Refused` as `checkRoot` does, with nothing done.
   */
  apply(work: readonly DiskWork[], options?: ApplyOptions): Promise<readonly DiskResult[]>
  /** True until `recover` has run for the first time, and again after work that threw: then call it before anything else is planned. */
  unclear(): boolean
  /** Of downloads that were about to get their names: those that did, as they are now. Call before `recover`, which clears the traces. */
  placed(unclear: readonly Unclear[]): Promise<readonly Observation[]>
  /**
   * Clears up after a crash, or after work that threw; call before the first scan. Bytes in the temporary folder that are not known to the server get their name
   * back, or become a sibling: these are returned. `path` is '' when nobody knows which name the bytes had.
   */
  recover(
    knownToServer: (path: Path, hash: string) => boolean | Promise<boolean>,
    isAgreed?: (path: Path, hash: string) => boolean,
  ): Promise<readonly Observation[]>
  /** Replaced or deleted files that somebody wrote to afterwards, brought back as siblings. Call after each cycle; cheap. */
  lateWrites(): Promise<readonly Observation[]>
  /** Removes what is older than the age, then the oldest until the rest fits. Returns the bytes freed. */
  pruneTrash(limits: { readonly maxAgeMs: number; readonly maxBytes: number }): Promise<number>
}

/** `stateDirectory` is this root's own, and exists; the journal lives in it. Changes nothing in the folder yet. */
export function openDisk(options: {
  readonly fs: FileSystem
  readonly root: Root
  readonly stateDirectory: string
  /** Short name for conflict files. */
  readonly device: string
  readonly clock: Clock
  readonly ids: Ids
}): Disk {
  const { fs, root, device, clock, ids } = options
  const journal = openJournal(fs, options.stateDirectory)
  const late: DiskContext['late'] = new Map()
  const unmovable: DiskContext['unmovable'] = new Set()
  let unclear = true

  /** With the temporary folder held open, and everything let go at the end. */
  const within = async <T>(work: (context: DiskContext) => Promise<T>): Promise<T> => {
    checkRoot(fs, root)
    const inside = confine(fs, root)
    let tmp: OpenFolder | null = null
    try {
      const place = inside.folder(`${OWN_FOLDER}/tmp`, true)
      if ('blocked' in place) throw Object.assign(new Error(`${OWN_FOLDER}/tmp is not a folder`), { code: 'ENOTDIR' })
      tmp = fs.openFolder(place.at)
      return await work({ fs, root, clock, device, confine: inside, journal, tmp: tmp.path, late, unmovable })
    } finally {
      tmp?.close()
      inside.release()
    }
  }

  return {
    apply: (work, settings = {}) =>
      within(async (context) => {
        const before = unclear
        unclear = true
        const results = await applyBatch(context, ids, work, settings)
        unclear = before
        return results
      }),
    unclear: () => unclear,
    placed: (placings) => within((context) => findPlaced(context, placings)),
    recover: (knownToServer, isAgreed = () => false) =>
      within(async (context) => {
        const back = await recover(context, knownToServer, isAgreed)
        unclear = false
        return back
      }),
    lateWrites: async () => (late.size === 0 ? [] : within(takeLateWrites)),
    pruneTrash: (limits) =>
      within(async (context) => {
        const awaited = new Set([...late.values()].map(({ trash }) => trash))
        return pruneTrash(fs, context.confine, clock, limits, (path) => awaited.has(path))
      }),
  }
}
