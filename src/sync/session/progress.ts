import type { SyncEvent } from '../api.ts'
import type { Clock } from '../../platform/ports.ts'

/** How far a cycle is. Told now and then, not for every file. */
export interface Progress {
  /** So much more is to be done. */
  expect(files: number, bytes: number): void
  files(count: number): void
  bytes(count: number): void
  /** What was expected is done, or given up; nothing is under way. */
  settle(): void
}

const EACH_MS = 100

export function openProgress(clock: Clock, onEvent: (event: SyncEvent) => void): Progress {
  let [files, totalFiles, bytes, totalBytes] = [0, 0, 0, 0]
  let told = Number.NEGATIVE_INFINITY
  const tell = (always: boolean): void => {
    const now = clock.elapsed()
    if (!always && now - told < EACH_MS) return
    told = now
    onEvent({ type: 'progress', files, totalFiles, bytes: Math.min(bytes, totalBytes), totalBytes })
  }
  return {
    expect: (moreFiles, moreBytes) => {
      if (moreFiles === 0) return
      totalFiles += moreFiles
      totalBytes += moreBytes
      tell(true)
    },
    files: (count) => {
      files += count
      tell(false)
    },
    bytes: (count) => {
      bytes += count
      tell(false)
    },
    settle: () => {
      if (totalFiles === 0) return
      ;[files, bytes] = [totalFiles, totalBytes]
      tell(true)
      ;[files, totalFiles, bytes, totalBytes] = [0, 0, 0, 0]
    },
  }
}
