import type { FileStat } from '../../platform/ports.ts'
import type { Content, Path, Reason } from '../core/types.ts'
import type { NoWay, Place } from './confine.ts'
import type { DiskContext } from './context.ts'
import { codeOf } from './failure.ts'
import { identityOf, isExecutable, isFresh, lookAtFile, statOf } from './look.ts'
import type { Identity, Observation } from './observed.ts'
import { rescue } from './siblings.ts'
import { withExecutable, type Staged } from './staging.ts'
import { moveToTrash } from './trash.ts'

/** A user's file at its last look. */
export interface Seen {
  readonly stat: FileStat
  readonly hash: string
}

/** How an act ended. `kept`: what came out of the name in that very instant was not what was seen, and has this name now. */
export type Ended =
  | { readonly type: 'done'; readonly kept: Observation | null }
  | { readonly type: 'dropped'; readonly kept: Observation | null }
  | { readonly type: 'failed'; readonly reason: Reason; readonly error: unknown }

export const DROPPED = { type: 'dropped', kept: null } as const
const DONE = { type: 'done', kept: null } as const

/**
 * The last look: the file at the path, if it is (still) the content that the plan saw. A file that is open for writing, or cannot be
 * read, is not touched.
 */
export async function lastLook(
  context: DiskContext,
  path: Path,
  expected: Content,
  identity: Identity | null,
): Promise<Seen | Ended> {
  const { fs, clock } = context
  const place = context.confine.place(path)
  if ('blocked' in place) return noWay(place)
  const stat = fs.lstat(place.at)
  if (stat?.kind !== 'file' || isExecutable(stat) !== expected.executable) return DROPPED
  if (identity && identity === identityOf(stat)) {
    return (await isOpenForWriting(context, place.at)) ? failed('busy') : { stat, hash: expected.hash }
  }
  if (stat.size !== expected.size) return DROPPED
  const look = await lookAtFile(fs, clock, place.at)
  if (look.kind === 'unknown') return failed(look.reason)
  if (look.kind === 'absent' || look.content.hash !== expected.hash) return DROPPED
  return { stat: look.stat, hash: expected.hash }
}

/** Puts staged bytes at a name that nothing has. */
export function create(context: DiskContext, path: Path, staged: Staged): Ended {
  const place = context.confine.place(path, true)
  if ('blocked' in place) return noWay(place)
  try {
    context.fs.renameNew(staged.at, place.at)
    return DONE
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return DROPPED
    throw error
  }
}

/**
 * Puts staged bytes, of SHA-256 `comes`, in the place of what was seen, which goes to the trash, or is let go when `keptAs` has the same
 * bytes.
 */
export async function replace(
  context: DiskContext,
  path: Path,
  op: string,
  { staged, comes, seen, keptAs }: Pick<Replacement, 'staged' | 'comes' | 'seen' | 'keptAs'>,
): Promise<Ended> {
  const { fs } = context
  // Nothing is awaited from here to the exchange.
  const place = stillSeen(context, path, seen)
  if (place === null) return DROPPED
  const next = fs.lstat(staged.at)
  const mode = withExecutable(seen.stat.mode, next !== null && isExecutable(next))
  if (next?.mode !== mode) fs.chmod(staged.at, mode)
  if (!fs.exchange(staged.at, place.at))
    return replaceByRenames(context, { path, op, staged, comes, seen, keptAs, place })
  return displaced(async () => {
    const came = await cameOut(context, staged.at, seen)
    if (came === 'other') return notWhatWasSeen(context, staged, path, op, comes)
    // Nobody can tell now whether it is what was seen: it gets its name back, and is looked at anew.
    if (came === 'unreadable') return exchangeBack(context, staged, path, op)
    await dispose(context, staged.at, path, op, seen, keptAs)
    return DONE
  })
}

/** Takes what was seen away from its name, into the trash. Puts back what came out if it is something else. */
export async function remove(
  context: DiskContext,
  path: Path,
  op: string,
  seen: Seen,
  keptAs: Path | null,
): Promise<Ended> {
  const place = stillSeen(context, path, seen)
  if (place === null) return DROPPED
  const aside = `${context.tmp}/${op}.old`
  context.fs.renameNew(place.at, aside)
  return displaced(async () => {
    const came = await cameOut(context, aside, seen)
    if (came !== 'seen') return putBack(context, aside, path, op, came)
    await dispose(context, aside, path, op, seen, keptAs)
    return DONE
  })
}

/** What is left to do when the name is given up already. If the disk fails now the rest waits in the temporary folder, journalled. */
async function displaced(rest: () => Promise<Ended>): Promise<Ended> {
  try {
    return await rest()
  } catch (error) {
    if (codeOf(error) === null) throw error
    return DONE
  }
}

/** Sets or clears the executable bit of what was seen. */
export function setExecutable(context: DiskContext, path: Path, executable: boolean, seen: Seen): Ended {
  const place = stillSeen(context, path, seen)
  if (place === null) return DROPPED
  context.fs.chmod(place.at, withExecutable(seen.stat.mode, executable))
  return DONE
}

/** The last look of all: the very file, untouched since it was read. */
function stillSeen({ fs, confine }: DiskContext, path: Path, seen: Seen): Place | null {
  const place = confine.place(path)
  if ('blocked' in place) return null
  const stat = fs.lstat(place.at)
  return stat && identityOf(stat) === identityOf(seen.stat) ? place : null
}

interface Replacement {
  readonly path: Path
  readonly op: string
  readonly staged: Staged
  readonly comes: string
  readonly seen: Seen
  readonly keptAs: Path | null
  readonly place: Place
}

/** Where the system cannot exchange: aside, look, and in, unless somebody was there first. The name is free for a moment. */
async function replaceByRenames(context: DiskContext, work: Replacement): Promise<Ended> {
  const { path, op, staged, seen, keptAs, place } = work
  const { fs } = context
  const aside = `${context.tmp}/${op}.old`
  fs.renameNew(place.at, aside)
  const came = await cameOut(context, aside, seen)
  if (came !== 'seen') return putBack(context, aside, path, op, came)
  let created: Ended
  try {
    created = create(context, path, staged)
  } catch (error) {
    await putBack(context, aside, path, op, came)
    throw error
  }
  if (created.type === 'failed') {
    await putBack(context, aside, path, op, came)
    return created
  }
  // Done, or a save came in between and has the name: either way the old bytes are out of it.
  return displaced(async () => {
    await dispose(context, aside, path, op, seen, keptAs)
    return created
  })
}

/** What came out of a name: what was seen, with its bytes, something else, or nobody can tell now. */
type Came = 'seen' | 'other' | 'unreadable'

async function cameOut({ fs, clock }: DiskContext, at: string, seen: Seen): Promise<Came> {
  const stat = statOf(fs, at)
  if (stat === undefined) return 'unreadable'
  if (stat?.kind !== 'file') return 'other'
  // Renaming has changed ctime, so a write in the last instant shows only in mtime, if that is not too new to tell.
  if (sameButForCtime(stat, seen.stat) && !isFresh(stat, clock.now())) return 'seen'
  const look = await lookAtFile(fs, clock, at, { takeBusy: true })
  if (look.kind === 'unknown' && look.reason === 'unreadable' && sameButForCtime(stat, seen.stat)) return 'unreadable'
  return look.kind === 'file' && look.content.hash === seen.hash ? 'seen' : 'other'
}

export function sameButForCtime(a: FileStat, b: FileStat): boolean {
  return identityOf({ ...a, ctimeNs: 0n }) === identityOf({ ...b, ctimeNs: 0n })
}

/** Old bytes that are as they were seen: into the trash; or nowhere, when they have another name. */
async function dispose(
  context: DiskContext,
  at: string,
  path: Path,
  op: string,
  seen: Seen,
  keptAs: Path | null,
): Promise<void> {
  const { fs, confine, clock } = context
  if (keptAs !== null) {
    const kept = confine.place(keptAs)
    const stat = 'blocked' in kept ? null : fs.lstat(kept.at)
    if (stat && stat.ino === fs.lstat(at)?.ino) return fs.unlink(at)
  }
  const open = await isOpenForWriting(context, at)
  const trash = moveToTrash(fs, confine, clock, at, path, op)
  if (open === false) return
  const { size, mtimeNs } = seen.stat
  const late = { op, path, trash, hash: seen.hash, size, mtimeNs: String(mtimeNs) }
  context.late.set(op, { ...late, since: clock.elapsed() })
  if (open) await context.journal.remember(late)
}

/**
 * Something else was at the name when it was exchanged. A file is kept as a sibling, unless it has the very bytes that came; a folder or
 * a link gets its name back.
 */
async function notWhatWasSeen(
  context: DiskContext,
  staged: Staged,
  path: Path,
  op: string,
  comes: string,
): Promise<Ended> {
  const { fs, clock, confine } = context
  const place = confine.place(path)
  const isFile = fs.lstat(staged.at)?.kind === 'file'
  const look = isFile ? await lookAtFile(fs, clock, staged.at, { takeBusy: true }) : null
  if (look?.kind === 'file' && look.content.hash === comes) {
    await dispose(context, staged.at, path, op, { stat: look.stat, hash: comes }, null)
    return DONE
  }
  if (isFile || 'blocked' in place || !fs.lstat(place.at)) {
    return { type: 'done', kept: await rescue(context, staged.at, path, op) }
  }
  return exchangeBack(context, staged, path, op)
}

/** What came out of an exchange gets its name back; a save that went to the new file meanwhile becomes a sibling. */
async function exchangeBack(context: DiskContext, staged: Staged, path: Path, op: string): Promise<Ended> {
  const { fs, confine } = context
  const place = confine.place(path)
  // Somebody has taken the new file away: what cannot be read waits in the temporary folder, journalled.
  if ('blocked' in place || !fs.lstat(place.at)) return DROPPED
  fs.exchange(staged.at, place.at)
  const back = fs.lstat(staged.at)
  const { ino, size, mtimeNs } = staged.stat
  // Also a save into the new file counts, which leaves its inode as it is.
  if (back?.ino === ino && back.size === size && back.mtimeNs === mtimeNs) return DROPPED
  return { type: 'dropped', kept: await rescue(context, staged.at, path, op) }
}

/**
 * Gives a file its name back. When somebody has taken it, the file becomes a sibling, but only if it is more than what was seen: else it
 * waits in the temporary folder, journalled, as it does while nobody can tell.
 */
async function putBack(context: DiskContext, aside: string, path: Path, op: string, came: Came): Promise<Ended> {
  const { fs, confine } = context
  const place = confine.place(path)
  if (!('blocked' in place)) {
    try {
      fs.renameNew(aside, place.at)
      return DROPPED
    } catch (error) {
      if (codeOf(error) === null) throw error
      if (came !== 'other' && codeOf(error) === 'EEXIST') return DROPPED
    }
  }
  return { type: 'dropped', kept: await rescue(context, aside, path, op) }
}

/** Null when the system cannot tell, or the file cannot be opened. */
export async function isOpenForWriting({ fs }: DiskContext, at: string): Promise<boolean | null> {
  try {
    const file = await fs.open(at)
    try {
      return file.openForWriting()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (codeOf(error) === null) throw error
    return null
  }
}

export function noWay({ blocked }: NoWay): Ended {
  return blocked === null ? DROPPED : failed(blocked)
}

function failed(reason: Reason): Ended {
  return { type: 'failed', reason, error: null }
}
