import { accessSync, constants, readFileSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { FileSystem } from '../../platform/ports.ts'
import type { AgentStatus } from '../../sync/agent.ts'
import { grouped, size } from '../format.ts'
import { brakeText } from './present.ts'

export interface FolderFinding {
  readonly code: string
  readonly severity: 'failure' | 'warning'
  readonly message: string
  readonly remedy: string
}

const LITTLE = 1_000_000_000
const LIMIT_FILE = '/proc/sys/fs/inotify/max_user_watches'

/** What is wrong with a synced folder on this machine, or may be soon. */
export function* examineFolder(fs: FileSystem, root: string, status: AgentStatus): Generator<FolderFinding> {
  yield* examineDisk(root)
  yield* examineWatching(fs, root, status)
  for (const item of status.waiting) {
    const message = item.type === 'approval' ? brakeText(item) : `${item.path} has conflict files`
    yield { code: item.type, severity: 'warning', message, remedy: item.remedy }
  }
  for (const { code, path, reason, remedy } of status.unsynced) {
    yield { code, severity: 'warning', message: `${path}: ${reason}`, remedy }
  }
}

function* examineDisk(root: string): Generator<FolderFinding> {
  for (const folder of [root, join(root, '.blobs')]) {
    try {
      accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    } catch {
      const remedy = `let its user in: ls -ld ${folder}`
      yield { code: 'permissions', severity: 'failure', message: `${folder} may not be read and written`, remedy }
    }
  }
  const { bavail, bsize } = statfsSync(root)
  const free = bavail * bsize
  if (free >= LITTLE) return
  const remedy = 'make room, or have less of the bucket here: blobs sync FOLDER --not DIR'
  yield { code: 'space', severity: 'warning', message: `the disk of ${root} has ${size(free)} left`, remedy }
}

function* examineWatching(fs: FileSystem, root: string, { watch }: AgentStatus): Generator<FolderFinding> {
  if (fs.isShared(root)) {
    const message = `${root} is on a network or user-space file system: what is changed elsewhere is found by looking, not at once`
    yield { code: 'shared', severity: 'warning', message, remedy: 'nothing to do; or sync a folder of a local disk' }
    return
  }
  const limit = watchLimit()
  const folders = limit === null ? 0 : countFolders(fs, root, limit)
  if (watch.remedy !== null) {
    const message = 'the running agent cannot watch everything: changes are found by looking'
    yield { code: 'watch', severity: 'warning', message, remedy: watch.remedy }
  } else if (limit !== null && folders > limit * 0.8) {
    const message = `${root} has ${folders >= limit ? 'at least ' : ''}${grouped(folders)} folders, and the system lets a user watch ${grouped(limit)}`
    const remedy = `sudo sysctl -w fs.inotify.max_user_watches=${Math.max(524_288, limit * 2)}`
    yield { code: 'watch', severity: 'warning', message, remedy }
  }
}

/** Null where the system has no such limit. */
function watchLimit(): number | null {
  try {
    const limit = Number(readFileSync(LIMIT_FILE, 'utf8'))
    return Number.isSafeInteger(limit) && limit > 0 ? limit : null
  } catch {
    return null
  }
}

/** Up to `most`. */
function countFolders(fs: FileSystem, root: string, most: number): number {
  const stack = [root]
  let count = 0
  for (let folder = stack.pop(); folder !== undefined && count < most; folder = stack.pop()) {
    count += 1
    try {
      for (const item of fs.list(folder)) {
        if (item.kind === 'folder' && item.name !== null && item.name !== '.blobs') stack.push(join(folder, item.name))
      }
    } catch {
      // The sync lists what cannot be read.
    }
  }
  return count
}
