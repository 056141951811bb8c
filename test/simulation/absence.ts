import type { MemoryDisk } from './memory-file-system.ts'

/** What can become of a whole folder without anybody wanting its files gone. */
export type Loss =
  /** Another, empty folder is mounted over it. */
  | 'emptied'
  | 'missing'
  /** Its marker is lost. */
  | 'unmarked'
  | 'unreadable'

export interface Absence {
  isAway(): boolean
  lose(how: Loss): void
  /** Gives what somebody put in the place of the folder meanwhile: nothing, if all is well. */
  bringBack(): readonly string[]
}

const AWAY = '/home/away'
const KEPT_MARKER = '/home/root.json'

export function openAbsence(disk: MemoryDisk, root: string): Absence {
  const marker = `${root}/.blobs/root.json`
  const { fs } = disk
  let away: Loss | null = null
  const lose = (how: Loss): void => {
    if (how === 'unreadable') fs.chmod(root, 0)
    else if (how === 'unmarked') fs.rename(marker, KEPT_MARKER)
    else {
      fs.rename(root, AWAY)
      away = 'missing'
    }
    if (how === 'emptied' && !mayMake()) return
    away = how
  }
  const mayMake = (): boolean => {
    try {
      fs.mkdir(root)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
      throw error
    }
  }
  return {
    isAway: () => away !== null,
    lose: (how) => {
      if (away !== null) return
      disk.durably(() => lose(how))
    },
    bringBack: () => {
      const how = away
      away = null
      if (how === null) return []
      const left = how === 'emptied' ? [...disk.tree(root).keys()] : []
      disk.durably(() => {
        if (how === 'unreadable') fs.chmod(root, 0o755)
        else if (how === 'unmarked') fs.rename(KEPT_MARKER, marker)
        else {
          if (how === 'emptied') fs.rename(root, `${AWAY}-empty`)
          fs.rename(AWAY, root)
        }
      })
      return left
    },
  }
}
