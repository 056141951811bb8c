/** Milliseconds since 1970 that fit the nine digits of a name: what is later sorts first. */
const LATEST = 2 ** 42 - 1
const TIME_DIGITS = 9
/** Writes of one session: its counter has two digits and runs down. */
export const SESSION_WRITES = 1024
const ENTRY = /@([0-9a-v]{9})_([0-9a-z]+)_([0-9a-z]{2})$/

/** One write of a client in a manifest's log, as its name tells. */
export interface EntryName {
  readonly key: string
  /** Milliseconds since 1970 by the clock of who wrote it. */
  readonly time: number
}

/** `MANIFEST@TIME_SESSION_COUNT`: newer ones sort before older ones. */
export function entryKey(manifest: string, time: number, session: string, count: number): string {
  return `${manifest}@${timeDigits(time)}_${session}_${(SESSION_WRITES - 1 - count).toString(32).padStart(2, '0')}`
}

/** Where to begin to list the entries up to a time, newest first. */
export function listedFrom(manifest: string, time: number): string {
  return `${manifest}@${timeDigits(time)}`
}

/** Null for what is no entry of the current format. */
export function parseEntryKey(manifest: string, key: string): EntryName | null {
  const match = ENTRY.exec(key)
  if (match === null || match.index !== manifest.length || !key.startsWith(manifest)) return null
  return { key, time: LATEST - Number.parseInt(match[1] ?? '', 32) }
}

function timeDigits(time: number): string {
  return Math.max(0, LATEST - time)
    .toString(32)
    .padStart(TIME_DIGITS, '0')
}
