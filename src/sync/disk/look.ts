import { hasher } from '../../content/hash.ts'
import type { Clock, FileStat, FileSystem, ReadFile } from '../../platform/ports.ts'
import { readStream } from '../../platform/read-stream.ts'
import type { Content, Reason } from '../core/types.ts'
import type { Identity } from './observed.ts'
import { codeOf } from './failure.ts'

/** A file as its bytes were read, or why they could not be. */
export type Look =
  | { readonly kind: 'file'; readonly content: Content; readonly stat: FileStat; readonly identity: Identity }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown'; readonly reason: Reason }

const BUFFER = 1024 * 1024
const SMALL = 64 * 1024

/** One comparable text of all that changes when a file does. */
export function identityOf(stat: FileStat): Identity {
  return `${stat.size} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino} ${stat.mode}`
}

export function isExecutable(stat: FileStat): boolean {
  return (stat.mode & 0o100) !== 0
}

/** What a kernel's clock may miss between two writes, with room; some file systems count whole or even seconds. */
const TICK_NS = 30_000_000n
const COARSE_TICK_NS = 2_100_000_000n

/**
 * True if a write after `lookedAt` (milliseconds, taken before the bytes were read) could leave the times as they are. Times ahead of the
 * clock are never trusted.
 */
function isRacy(stat: FileStat, lookedAt: number): boolean {
  const tick = stat.ctimeNs % 1_000_000_000n === 0n ? COARSE_TICK_NS : TICK_NS
  const latest = stat.mtimeNs > stat.ctimeNs ? stat.mtimeNs : stat.ctimeNs
  return BigInt(Math.floor(lookedAt)) * 1_000_000n - latest < tick
}

/**
 * The identity of a file whose bytes were in place before anybody else could reach it, so that only its modification time can be too new
 * to tell a later write; `''` then.
 */
export function settledIdentity(stat: FileStat, now: number): Identity {
  return isFresh(stat, now) ? '' : identityOf(stat)
}

/** True if a write in place at `now` could leave the modification time as it is. */
export function isFresh(stat: FileStat, now: number): boolean {
  return isRacy({ ...stat, ctimeNs: stat.mtimeNs }, now)
}

/** As `lstat`, but undefined when the disk does not say. */
export function statOf(fs: FileSystem, path: string): FileStat | null | undefined {
  try {
    return fs.lstat(path)
  } catch (error) {
    if (codeOf(error) === null) throw error
    return undefined
  }
}

/** Reads a file between two looks at it. Never throws for what the disk says. */
export async function lookAtFile(
  fs: FileSystem,
  clock: Clock,
  path: string,
  options: { readonly takeBusy?: boolean; readonly signal?: AbortSignal | undefined } = {},
): Promise<Look> {
  let file: ReadFile
  try {
    file = await fs.open(path)
  } catch (error) {
    return cannotOpen(error)
  }
  try {
    if (!options.takeBusy && file.openForWriting() === true) return { kind: 'unknown', reason: 'busy' }
    const lookedAt = clock.now()
    const before = file.stat()
    const hash = await digest(file, before.size, options.signal)
    const after = file.stat()
    if (hash === null || identityOf(after) !== identityOf(before)) return { kind: 'unknown', reason: 'changing' }
    const content = { kind: 'file', hash, size: before.size, executable: isExecutable(before) } as const
    return { kind: 'file', content, stat: before, identity: isRacy(before, lookedAt) ? '' : identityOf(before) }
  } catch (error) {
    return cannotRead(error)
  } finally {
    await file.close()
  }
}

/** Null if the file is not `size` bytes long (any more), or the signal came. */
async function digest(file: ReadFile, size: number, signal: AbortSignal | undefined): Promise<string | null> {
  if (size > BUFFER) return digestLarge(file, size, signal)
  const hash = hasher()
  // One byte more than expected: a file that grows is noticed by the same read.
  const buffer = Buffer.allocUnsafe(size < SMALL ? size + 1 : BUFFER)
  let position = 0
  for (;;) {
    const count = await file.read(buffer, position)
    if (count === 0) break
    hash.update(count === buffer.byteLength ? buffer : buffer.subarray(0, count))
    position += count
    if (position > size || signal?.aborted) return null
    if (position === size && size < SMALL) break
  }
  return position === size ? hash.digest('hex') : null
}

/** The same; one that grew is known by its stat. */
async function digestLarge(file: ReadFile, size: number, signal: AbortSignal | undefined): Promise<string | null> {
  const hash = hasher()
  let position = 0
  for await (const piece of readStream(file, size)) {
    hash.update(piece)
    position += piece.length
    if (signal?.aborted) return null
  }
  return position === size ? hash.digest('hex') : null
}

function cannotOpen(error: unknown): Look {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: 'absent' }
  // It was a file when it was listed.
  if (code === 'ELOOP' || code === 'ENXIO' || code === 'EISDIR') return { kind: 'unknown', reason: 'changing' }
  return cannotRead(error)
}

function cannotRead(error: unknown): Look {
  if (codeOf(error) === null) throw error
  return { kind: 'unknown', reason: 'unreadable' }
}
