import type { SyncEvent } from '../api.ts'

/** What was done since it was made. */
export interface Tally {
  uploaded: number
  downloaded: number
  deletedLocal: number
  deletedRemote: number
  renamed: number
  modes: number
  conflicts: number
  resurrected: number
  bytesUp: number
  bytesDown: number
}

export function newTally(): Tally {
  return {
    uploaded: 0,
    downloaded: 0,
    deletedLocal: 0,
    deletedRemote: 0,
    renamed: 0,
    modes: 0,
    conflicts: 0,
    resurrected: 0,
    bytesUp: 0,
    bytesDown: 0,
  }
}

const COUNTED: Partial<Record<SyncEvent['type'], keyof Tally>> = {
  uploaded: 'uploaded',
  downloaded: 'downloaded',
  'deleted-local': 'deletedLocal',
  'deleted-remote': 'deletedRemote',
  renamed: 'renamed',
  mode: 'modes',
  conflict: 'conflicts',
  resurrected: 'resurrected',
}

export function count(tally: Tally, event: SyncEvent): void {
  const name = COUNTED[event.type]
  if (name !== undefined) tally[name]++
}
