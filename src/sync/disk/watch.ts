import { relative, sep } from 'node:path'
import type { Clock, FileSystem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import { codeOf } from './failure.ts'
import type { Ignore } from './ignore.ts'
import { below, keyOf } from './names.ts'
import type { DirtyFolder } from './observed.ts'
import type { WatchBackend } from './watch-backend.ts'

export interface WatchOptions {
  readonly fs: FileSystem
  /** Absolute, without links. */
  readonly root: string
  /** The rules as they are now. When they change, close this watcher and start another: folders come or go with them. */
  readonly ignore: () => Ignore
  readonly clock: Clock
  /** Folders to look at again, some 5 ms after the first event, 25–50 ms after those that follow. Called synchronously; must not throw. */
  readonly onDirty: (folders: readonly DirtyFolder[]) => void
  /** Events may be missing from now on: rescan by the clock. Says what to do about it. Called once. */
  readonly onDegraded: (problem: WatchProblem) => void
  /** True for a path that is in sync: when it goes, its folder waits 200 ms for it to come back. Default: every path. */
  readonly isKnown?: (path: Path) => boolean
  /** What tells of changes; unless given, what suits the platform. */
  readonly backend?: WatchBackend
}
export interface WatchProblem {
  readonly message: string
  readonly remedy: string
}
export interface Watcher {
  close(): Promise<void>
}

const COALESCE_MS = 25
/**
 * After a calm the first event is nearly always the only one: a save. Where the system tells of a file that somebody has open for writing
 * (Linux), nothing is lost by a look at once; elsewhere it could find half a file.
 */
const EAGER_MS = process.platform === 'linux' ? 5 : COALESCE_MS
const GRACE_MS = 200
/** A folder that is new is looked at once more, for what came between the first look and its watch. */
const SECOND_LOOK_MS = 250
/** No watcher tells when its queue (16,384 on Linux) ran over; but then it brings more than this at once. */
const FLOOD = 4096
/** Beyond so many names in one folder nobody saves a file by deleting it first. */
const NAMES = 64

/** Resolves when everything below the root is watched (or it is said to be degraded): scan after that, never before. Never throws for a watch that fails. */
export async function watchFolder(options: WatchOptions): Promise<Watcher> {
  const { fs, root, ignore, clock } = options
  const dirt = collectDirt(options)
  let degraded = false
  const degrade = (problem: WatchProblem): void => {
    if (!degraded) options.onDegraded(problem)
    degraded = true
  }
  if (fs.isShared(root)) degrade(SHARED)

  const pathOf = (folder: string): Path | null => {
    const inside = relative(root, folder)
    if (inside === '') return ''
    return inside.startsWith('..') ? null : keyOf(inside.split(sep).join('/'))
  }
  const backend = options.backend ?? (await backendOf(process.platform))
  const running = await backend(root, {
    ignored: (folder) => {
      const path = pathOf(folder)
      return path === null || (path !== '' && isIgnored(ignore(), path, true))
    },
    onEvent: (folder, name) => {
      const path = pathOf(folder)
      if (path === null) return
      if (name === null) return dirt.add(path, null)
      const changed = below(path, keyOf(name))
      const inert = isIgnored(ignore(), changed, false) && isIgnored(ignore(), changed, true)
      if (!inert) dirt.add(path, name)
    },
    onFolder: (folder) => {
      const path = pathOf(folder)
      if (path === null) return
      dirt.addDeep(path)
      void clock.sleep(SECOND_LOOK_MS, dirt.closed).then(() => dirt.addDeep(path))
    },
    onError: (error) => {
      const problem = problemOf(error)
      if (problem) degrade(problem)
    },
  })
  return {
    close: async () => {
      dirt.close()
      await running.close()
    },
  }
}

interface Waiting {
  deep: boolean
  /** Names that came or went, with the time of the first event. */
  readonly names: Map<string, number>
}

/** Folders with their changed names, handed on a moment after the first event, and a longer moment after a known name went. */
function collectDirt({ fs, root, clock, onDirty, isKnown = () => true }: WatchOptions) {
  const stop = new AbortController()
  let waiting = new Map<Path, Waiting>()
  let events = 0
  let timer = false
  let lastFlush = Number.NEGATIVE_INFINITY

  const flush = (): void => {
    timer = false
    lastFlush = clock.elapsed()
    if (stop.signal.aborted) return
    const flood = events >= FLOOD
    events = 0
    const ready: DirtyFolder[] = flood ? [{ path: '', deep: true }] : []
    const rest = new Map<Path, Waiting>()
    if (!flood) {
      for (const [path, folder] of waiting) {
        if (!folder.deep && isInGrace(path, folder)) rest.set(path, folder)
        else ready.push({ path, deep: folder.deep })
      }
    }
    waiting = rest
    if (rest.size > 0) start()
    if (ready.length > 0) onDirty(ready)
  }
  const start = (): void => {
    if (timer || stop.signal.aborted) return
    timer = true
    const calm = clock.elapsed() - lastFlush > COALESCE_MS
    void clock.sleep(calm ? EAGER_MS : COALESCE_MS, stop.signal).then(flush)
  }
  const isInGrace = (path: Path, { names }: Waiting): boolean => {
    for (const [name, since] of names) {
      if (clock.elapsed() - since >= GRACE_MS || isThere(fs, `${root}/${below(path, name)}`)) names.delete(name)
      else if (isKnown(below(path, keyOf(name)))) return true
    }
    return false
  }
  const entry = (path: Path): Waiting => {
    events++
    const known = waiting.get(path)
    if (known) return known
    const fresh = { deep: false, names: new Map<string, number>() }
    waiting.set(path, fresh)
    start()
    return fresh
  }
  return {
    closed: stop.signal,
    close: () => stop.abort(),
    add: (path: Path, name: string | null): void => {
      const { names } = entry(path)
      if (name !== null && names.size < NAMES && !names.has(name)) names.set(name, clock.elapsed())
    },
    addDeep: (path: Path): void => void (entry(path).deep = true),
  }
}

/** Linux tells each change of a folder by its name: a watch for each is all there is to do. What other systems tell, chokidar knows. */
async function backendOf(platform: NodeJS.Platform): Promise<WatchBackend> {
  if (platform === 'linux') return (await import('./watch-folders.ts')).folderBackend
  return (await import('./watch-chokidar.ts')).chokidarBackend
}

// Whatever cannot be looked at is for the scan to judge.
function isThere(fs: FileSystem, path: string): boolean {
  try {
    return fs.lstat(path) !== null
  } catch (error) {
    if (codeOf(error) === null) throw error
    return true
  }
}

function isIgnored(ignore: Ignore, path: Path, isFolder: boolean): boolean {
  try {
    return ignore.ignores(path, isFolder)
  } catch (error) {
    if (codeOf(error) === null) throw error
    return false
  }
}

const SHARED: WatchProblem = {
  message: 'the folder is on a network or user-space file system: changes made elsewhere are not announced',
  remedy: 'nothing to do: the folder is scanned again and again instead',
}

/** Null for what the scan finds and reports by itself: a folder that is gone or may not be read. */
function problemOf(error: unknown): WatchProblem | null {
  const code = codeOf(error)
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES' || code === 'EPERM') return null
  if (code === 'ENOSPC') {
    return {
      message: 'the system allows no more watched folders: changes are found by scanning',
      remedy: 'sudo sysctl -w fs.inotify.max_user_watches=524288',
    }
  }
  if (code === 'EMFILE' || code === 'ENFILE') {
    return {
      message: 'the system allows no more watchers: changes are found by scanning',
      remedy: 'sudo sysctl -w fs.inotify.max_user_instances=1024',
    }
  }
  const why = error instanceof Error ? error.message : String(error)
  return {
    message: `watching the folder failed (${why}): changes are found by scanning`,
    remedy: 'start the agent again',
  }
}
