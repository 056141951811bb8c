import type { Expectation } from './contract/types.ts'

/** What stands at a key: version 0 means that it never was. */
export interface Standing {
  readonly version: number
  readonly deleted: boolean
  /** SHA-256 of the blob, or for a tombstone the id of the entry that made it. */
  readonly stamp: string
}

export const NEVER_WAS: Standing = { version: 0, deleted: true, stamp: '' }

export function holds(expect: Expectation, standing: Standing): boolean {
  if (expect === 'any') return true
  if (expect === 'absent') return standing.deleted
  return expect.version === standing.version && (expect.hash === undefined || expect.hash === standing.stamp)
}
