import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { basename, join } from 'node:path'
import type { Clock } from '../platform/ports.ts'
import type { SyncEvent } from '../sync/agent.ts'

/** Tells the desktop what a person should know. */
export interface Notifier {
  /** Something happened in a folder. */
  event(folder: string, event: SyncEvent): void
}
/** Shows one message. */
export type Show = (title: string, text: string) => void

/** What comes within this time is told at once. */
const GATHER = 3_000
/** A folder says something at most so often; what comes meanwhile is told then. */
const QUIET = 300_000

export function openNotifier(show: Show, clock: Clock, signal: AbortSignal): Notifier {
  const folders = new Map<string, { conflicts: number; brake: number; waiting: boolean; last: number }>()
  const tell = async (folder: string): Promise<void> => {
    const news = folders.get(folder)
    if (news === undefined || news.waiting) return
    news.waiting = true
    await clock.sleep(Math.max(GATHER, news.last + QUIET - clock.elapsed()), signal)
    news.waiting = false
    if (signal.aborted) return
    const { conflicts, brake } = news
    Object.assign(news, { conflicts: 0, brake: 0, last: clock.elapsed() })
    if (brake > 0) show(`blobs: ${basename(folder)}`, `${brake} deletes wait for your word: blobs status ${folder}`)
    if (conflicts > 0) show(`blobs: ${basename(folder)}`, conflictText(folder, conflicts))
  }
  return {
    event: (folder, event) => {
      if (event.type !== 'conflict' && event.type !== 'brake') return
      const news = folders.get(folder) ?? { conflicts: 0, brake: 0, waiting: false, last: Number.NEGATIVE_INFINITY }
      folders.set(folder, news)
      if (event.type === 'conflict') news.conflicts += 1
      else news.brake = event.count
      void tell(folder)
    },
  }
}

function conflictText(folder: string, count: number): string {
  const files = count === 1 ? 'A file was' : `${count} files were`
  return `${files} edited on both sides; both edits are kept: blobs conflicts ${folder}`
}

/** How this desktop shows messages; null where there is none. Its programs are run without a shell, and not waited for. */
export function desktop(env: Readonly<Record<string, string | undefined>>, platform: NodeJS.Platform): Show | null {
  if (platform === 'darwin') {
    const script = 'on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run'
    return (title, text) => start('/usr/bin/osascript', ['-e', script, title, text])
  }
  const session = env['DBUS_SESSION_BUS_ADDRESS'] ?? env['WAYLAND_DISPLAY'] ?? env['DISPLAY']
  const program = session === undefined || platform !== 'linux' ? null : findProgram('notify-send', env['PATH'] ?? '')
  if (program === null) return null
  // Names of files may look like its options.
  return (title, text) => start(program, ['--app-name=blobs', '--', title, text])
}

function findProgram(name: string, path: string): string | null {
  for (const folder of path.split(':').filter((part) => part.startsWith('/'))) {
    try {
      accessSync(join(folder, name), constants.X_OK)
      return join(folder, name)
    } catch {
      continue
    }
  }
  return null
}

function start(program: string, args: readonly string[]): void {
  const child = spawn(program, args, { stdio: 'ignore', timeout: 10_000 })
  // Whoever has no desktop any more misses nothing that status does not tell.
  child.on('error', () => undefined)
  child.unref()
}
