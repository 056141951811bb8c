import { sha256 } from '../../content/hash.ts'
import type { FileStat } from '../../platform/ports.ts'
import { conflictName } from '../core/conflict-name.ts'
import type { Content, Path } from '../core/types.ts'
import type { NoWay, Place } from './confine.ts'
import type { DiskContext } from './context.ts'
import { codeOf } from './failure.ts'
import { lookAtFile, settledIdentity, statOf } from './look.ts'
import type { Observation } from './observed.ts'
import { discard, PART } from './staging.ts'

/** A file whose bytes must not be lost. */
export interface Loser {
  /** The name it had, or was to have. */
  readonly path: Path
  readonly op: string
  readonly hash: string
  readonly stat: FileStat
}

const LENGTHS = [8, 16, 32, 64]

/** Gives a file that is at its name a second one, as a sibling; not yet durable. Throws what the disk throws; then there is none. */
export async function linkSibling(context: DiskContext, loser: Loser): Promise<Path> {
  return settle(context, loser, (place) => {
    const from = context.confine.place(loser.path)
    if ('blocked' in from) throw Object.assign(new Error(`${loser.path} is gone`), { code: 'ENOENT' })
    return linkOrCopy(context, from.at, place, loser)
  })
}

/** Moves a file out of the temporary folder to a sibling's name; at the root's top when there is no way to its folder any more. */
export async function moveToSibling(context: DiskContext, from: string, loser: Loser): Promise<Path> {
  const move = (path: Path): Promise<Path> =>
    settle(context, { ...loser, path }, async (at) => context.fs.renameNew(from, at))
  const base = loser.path.slice(loser.path.lastIndexOf('/') + 1)
  const sibling = await move(loser.path).catch((error: unknown) => {
    if (codeOf(error) === null) throw error
    return move(base)
  })
  // Equal bytes stood there already.
  discard(context.fs, from)
  return sibling
}

/** The same for something of which nothing is known but where it is. */
export async function rescue(context: DiskContext, from: string, path: Path, op: string): Promise<Observation> {
  const { fs, clock } = context
  const look = await lookAtFile(fs, clock, from, { takeBusy: true })
  if (look.kind === 'file') {
    const { stat, content } = look
    const sibling = await moveToSibling(context, from, { path, op, hash: content.hash, stat })
    return observe(context, sibling, content, stat)
  }
  const stat = fs.lstat(from)
  if (!stat) throw Object.assign(new Error(`${from} vanished`), { code: 'ENOENT' })
  // Somebody still writes to it, or it cannot be read: any name will do, as long as it is its own.
  const sibling = await moveToSibling(context, from, { path, op, hash: sha256(Buffer.from(op)), stat })
  return { path: sibling, node: { kind: 'unknown', reason: 'changing' } }
}

/**
 * A file that was put at a name, as it is there now; without an identity when it is not the one that was put, untouched, or the disk does
 * not say.
 */
export function observe(
  context: DiskContext,
  path: Path,
  content: Content,
  put: FileStat,
  place: Place | NoWay = context.confine.place(path),
): Observation {
  const { fs, clock } = context
  const stat = 'blocked' in place ? null : statOf(fs, place.at)
  const same = stat && stat.ino === put.ino && stat.size === put.size && stat.mtimeNs === put.mtimeNs
  const identity = same ? settledIdentity(stat, clock.now()) : ''
  const { hash, size, executable } = content
  return { path, node: { kind: 'file', hash, size, executable, identity, mtimeNs: put.mtimeNs } }
}

async function settle(context: DiskContext, loser: Loser, put: (at: string) => Promise<void>): Promise<Path> {
  const { device } = context
  for (const hashLength of LENGTHS) {
    const { path, hash, stat } = loser
    const name = conflictName({ path, mtimeNs: stat.mtimeNs, device, hash, hashLength })
    if ((await isThere(context, name, loser)) === 'equal') return name
    try {
      await put(way(context, name).at)
      return name
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    if ((await isThere(context, name, loser)) === 'equal') return name
  }
  throw Object.assign(new Error(`every conflict name of ${loser.path} is taken`), { code: 'EEXIST' })
}

function way(context: DiskContext, name: Path): Place {
  const place = context.confine.place(name, true)
  if (!('blocked' in place)) return place
  throw Object.assign(new Error(`no way to ${name}: ${place.blocked}`), { code: 'ENOTDIR' })
}

async function isThere(
  context: DiskContext,
  name: Path,
  { hash, stat }: Loser,
): Promise<'equal' | 'other' | 'nothing'> {
  const { fs, clock } = context
  const place = way(context, name)
  const there = fs.lstat(place.at)
  if (!there) return 'nothing'
  if (there.ino === stat.ino) return 'equal'
  if (there.size !== stat.size) return 'other'
  const look = await lookAtFile(fs, clock, place.at, { takeBusy: true })
  return look.kind === 'file' && look.content.hash === hash ? 'equal' : 'other'
}

// Not every file system has hard links, and not every file may have one more.
const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EXDEV', 'EINVAL'])

async function linkOrCopy(context: DiskContext, from: string, to: string, loser: Loser): Promise<void> {
  const { fs, clock } = context
  try {
    return fs.link(from, to)
  } catch (error) {
    if (!NO_LINKS.has(codeOf(error) ?? '')) throw error
  }
  const part = `${context.tmp}/${loser.op}-sibling${PART}`
  try {
    await fs.copy(from, part)
    const look = await lookAtFile(fs, clock, part, { takeBusy: true })
    if (look.kind !== 'file' || look.content.hash !== loser.hash) {
      throw Object.assign(new Error(`${loser.path} changed while it was copied`), { code: 'EBUSY' })
    }
    fs.chmod(part, loser.stat.mode & 0o777)
    fs.setModified(part, loser.stat.mtimeNs)
    fs.renameNew(part, to)
  } finally {
    discard(fs, part)
  }
}
