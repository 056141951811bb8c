import type { Clock } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import type { Path, Reason } from '../core/types.ts'
import { placeOf } from '../state/encode.ts'
import { write } from '../state/open.ts'

/** Paths that failed: each is tried again later and later, and listed meanwhile. */
export interface Failures {
  /** Notes a failure; true if it is the first of this kind for the path. */
  add(path: Path, reason: Reason, error: unknown): boolean
  clear(path: Path): void
  /** Forgets all waits: everything is tried at once. */
  forget(): void
  /** True while the path should be left alone. */
  waits(path: Path): boolean
  /** Milliseconds until the first may be tried again; null: nothing failed. */
  nextIn(): number | null
  list(): readonly Failure[]
  get(path: Path): Failure | null
}
interface Failure {
  readonly path: Path
  readonly reason: Reason
  readonly message: string
  readonly tries: number
}

const FIRST_WAIT = 250
const LONGEST_WAIT = 300_000

export function openFailures(db: Database, clock: Clock): Failures {
  const failed = new Map<Path, Failure & { readonly at: number }>()
  for (const row of db.all<{ parent: string; name: string; code: string; message: string }>('SELECT * FROM failures')) {
    const path = row.parent + row.name
    // The table only ever holds what `add` wrote.
    failed.set(path, { path, reason: row.code as Reason, message: row.message, tries: 0, at: 0 })
  }
  const clear = (path: Path): void => {
    if (!failed.delete(path)) return
    const { parent, name } = placeOf(path)
    write(db, () => db.run('DELETE FROM failures WHERE parent = ? AND name = ?', parent, name))
  }
  return {
    add: (path, reason, error) => {
      const before = failed.get(path)
      const tries = (before?.tries ?? 0) + 1
      const asked = isBlobsError(error) ? (error.retryAfter ?? 0) : 0
      const wait = Math.max(asked, Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** (tries - 1)))
      const message = messageOf(error)
      failed.set(path, { path, reason, message, tries, at: clock.elapsed() + wait })
      const { parent, name } = placeOf(path)
      write(db, () => db.run('INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)', parent, name, reason, message))
      return before?.reason !== reason
    },
    clear,
    forget: () => {
      for (const failure of failed.values()) failed.set(failure.path, { ...failure, tries: 0, at: 0 })
    },
    waits: (path) => (failed.get(path)?.at ?? 0) > clock.elapsed(),
    nextIn: () => {
      let first = Number.POSITIVE_INFINITY
      for (const { at } of failed.values()) first = Math.min(first, at)
      return Number.isFinite(first) ? Math.max(0, first - clock.elapsed()) : null
    },
    list: () => [...failed.values()],
    get: (path) => failed.get(path) ?? null,
  }
}

/** What an error says; '' if there is none. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message
  return error === null || error === undefined ? '' : String(error)
}
