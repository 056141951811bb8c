import { comparePaths } from './order.ts'
import { isMarker } from './reconcile.ts'
import type { Path, Step } from './types.ts'

/** `remote`: deletions in the bucket, of what vanished from disk; `local`: deletions on disk, of what vanished from the bucket. */
export type Side = 'local' | 'remote'
export type Delete = Extract<Step, { type: 'delete-local' | 'delete-remote' }>

/** How many deletions on one side go without a yes, in place of the default rules; a percentage is of the synced files. */
export type MaxDelete = { readonly count: number } | { readonly percent: number }

/** What vanishes on one side. Files only: an empty folder is no loss. */
export interface Tally {
  /** Deletions whose bytes do not reappear in the same plan. */
  readonly deletes: number
  /** Of each folder, `''` for the root: files that go, and how many of them only move. */
  readonly folders: ReadonlyMap<Path, { readonly gone: number; readonly moved: number }>
}
export type Census = Readonly<Record<Side, Tally>>

/** What the folder holds in sync before the plan: the measure for the census. */
export interface Synced {
  readonly files: number
  /** Files with a base below a folder (path without the slash). Asked only of folders that lose `FOLDER_LIMIT` files or more. */
  readonly below: (folder: Path) => number
}

export interface Brake {
  readonly side: Side
  readonly rule: 'count' | 'folder'
  /** Deletions that wait. */
  readonly deletes: number
  /** For `count`: the most that would have gone. */
  readonly limit: number
  /** For `folder`: the highest one that vanishes whole. */
  readonly folder: Path | null
}

const FREE_DELETES = 20
const FREE_SHARE = 0.25
const FOLDER_LIMIT = 100

/** True if a brake counts this step and holds it back. A rename's half is neither: its bytes stay. */
export function isBraked(step: Step): step is Delete {
  return (step.type === 'delete-local' || step.type === 'delete-remote') && step.movedTo === undefined
}

/** Counts what a plan, or a stream of its steps, makes vanish on each side. */
export function census(steps: Iterable<Step>): Census {
  const local = { deletes: 0, folders: new Map<Path, { gone: number; moved: number }>() }
  const remote = { deletes: 0, folders: new Map<Path, { gone: number; moved: number }>() }
  for (const step of steps) {
    if ((step.type !== 'delete-local' && step.type !== 'delete-remote') || isMarker(step.path)) continue
    const tally = step.type === 'delete-local' ? local : remote
    const moved = isBraked(step) ? 0 : 1
    tally.deletes += 1 - moved
    for (const folder of foldersAbove(step.path)) {
      const count = tally.folders.get(folder)
      if (count === undefined) tally.folders.set(folder, { gone: 1, moved })
      else {
        count.gone += 1
        count.moved += moved
      }
    }
  }
  return { local, remote }
}

function* foldersAbove(path: Path): Iterable<Path> {
  yield ''
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) yield path.slice(0, slash)
}

/** Why this side's deletions wait for a yes, or null if they may go. The rest of the plan goes on in any case. */
export function brake(side: Side, tally: Tally, synced: Synced, maxDelete: MaxDelete | null): Brake | null {
  const limit = deleteLimit(synced.files, maxDelete)
  if (exceeds(tally.deletes, limit)) return { side, rule: 'count', deletes: tally.deletes, limit, folder: null }
  const folder = maxDelete === null ? vanishedFolder(tally, synced) : null
  return folder === null ? null : { side, rule: 'folder', deletes: tally.deletes, limit, folder }
}

/** The most deletions that go without a yes: 20 or a quarter of the synced files, whichever is more, unless the user set it. */
export function deleteLimit(syncedFiles: number, maxDelete: MaxDelete | null): number {
  if (maxDelete === null) return Math.max(FREE_DELETES, Math.floor(syncedFiles * FREE_SHARE))
  return 'count' in maxDelete ? maxDelete.count : Math.floor((syncedFiles * maxDelete.percent) / 100)
}

// NaN as a limit holds everything.
function exceeds(deletes: number, limit: number): boolean {
  return deletes > 0 && !(deletes <= limit)
}

/** The first folder, by key and so the highest, that loses all its synced files, at least 100 of them for good; or null. */
export function vanishedFolder(tally: Tally, synced: Synced): Path | null {
  const large = [...tally.folders].filter(([, { gone, moved }]) => gone - moved >= FOLDER_LIMIT)
  for (const [folder, { gone }] of large.sort(([a], [b]) => comparePaths(a, b))) {
    if (gone >= synced.below(folder)) return folder
  }
  return null
}

/**
 * What exactly a deletion takes away, as text. A yes is for a side, a path and this: a deletion that would take anything else, now or
 * later, needs a yes of its own.
 */
export function lossOf(step: Delete): string {
  if (step.type === 'delete-local') return `${step.replaces.hash} ${step.replaces.executable}`
  return step.expect === 'absent' ? 'absent' : `${step.expect.version} ${step.expect.hash}`
}
