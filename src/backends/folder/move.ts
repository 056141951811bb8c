import { dirname } from 'node:path'
import type { FileSystem } from '../../platform/ports.ts'
import { MOVED_WITHIN, type Move } from '../../store/objects/objects.ts'
import { codeOf } from './failures.ts'

/** Files that are moved between two looks at the time. */
const GROUP = 200

/**
 * Renames files, whose folders are there; gives the places in `moves` of those that were there. `now` is the time of the disk, in
 * milliseconds: a file is as old as its move.
 */
export async function moveFiles(
  fs: FileSystem,
  moves: readonly Move[],
  now: () => Promise<number>,
): Promise<readonly number[]> {
  const moved: number[] = []
  for (let at = 0; at < moves.length; at += GROUP) {
    const some = [...moves.entries()].slice(at, at + GROUP)
    const started = await now()
    const done: typeof some = []
    for (const one of some) if (await moveFile(fs, one[1], started)) done.push(one)
    const ended = await now()
    // This program was stopped in between.
    if (ended - started > MOVED_WITHIN) for (const [, { to }] of done) date(fs, to, ended)
    moved.push(...done.map(([index]) => index))
  }
  return moved
}

async function moveFile(fs: FileSystem, { from, to }: Move, now: number): Promise<boolean> {
  try {
    if (!date(fs, from, now)) {
      await fs.copy(from, to)
      fs.unlink(from)
    } else fs.rename(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'ENOENT' && fs.lstat(dirname(to)) !== null) return false
    throw error
  }
}

/** False for a file of another user, which has the time of its last write. */
function date(fs: FileSystem, path: string, time: number): boolean {
  try {
    fs.setModified(path, BigInt(Math.floor(time)) * 1_000_000n)
    return true
  } catch (error) {
    if (codeOf(error) === 'EPERM' || codeOf(error) === 'EACCES') return false
    throw error
  }
}
