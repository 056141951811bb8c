import { parseName, plainId, type StoredName } from './names.ts'

/** A blob as the server lists it. */
export interface Row {
  readonly id: string
  readonly name: string
  readonly size: number
}
/** A blob under a name of ours. */
export interface Version extends Row {
  readonly stored: StoredName
}
/** All that is stored for a key. */
export interface KeyRows {
  /** The newest first. */
  readonly versions: readonly Version[]
  /** Under the plain key, by others: the server gives the bytes of one of them, and not of the others. */
  readonly plain: readonly Row[]
}

export function rowsByKey(rows: readonly Row[]): Map<string, KeyRows> {
  const all = new Map<string, { readonly versions: Version[]; readonly plain: Row[] }>()
  for (const row of rows) {
    const stored = parseName(row.name)
    const key = stored?.key ?? row.name
    const of = all.get(key) ?? { versions: [], plain: [] }
    all.set(key, of)
    if (stored === null) of.plain.push(row)
    else of.versions.push({ ...row, stored })
  }
  for (const { versions, plain } of all.values()) {
    versions.sort(newestFirst)
    plain.sort((a, b) => (a.id < b.id ? -1 : 1))
  }
  return all
}

// Of two writers at once, which there should not be, the same one is the newer for everybody.
function newestFirst(a: Version, b: Version): number {
  return b.stored.version - a.stored.version || (a.stored.random < b.stored.random ? 1 : -1)
}

/** True if a version of ours was written by somebody who saw what others stored under the plain key. */
function isReplaced({ versions, plain }: KeyRows): boolean {
  const seen = new Set(versions.map(({ stored }) => stored.over))
  return plain.some(({ id }) => seen.has(plainId(id)))
}

/** What the next name says that it replaces. */
export function replacedPlain({ plain }: KeyRows): string | null {
  const [first] = plain
  return first === undefined ? null : plainId(first.id)
}

/** What may be the current bytes, the newest first, up to a delete. */
export function candidates(rows: KeyRows): readonly (readonly Row[])[] {
  const plain = rows.plain.length === 0 ? [] : [rows.plain]
  const end = rows.versions.findIndex(({ stored }) => stored.hash === null)
  const versions = (end < 0 ? rows.versions : rows.versions.slice(0, end)).map((version) => [version])
  if (!isReplaced(rows)) return [...plain, ...versions]
  return end < 0 ? [...versions, ...plain] : versions
}

/** Of each a tag of its own: other bytes always have another one. */
export function tagOf(rows: readonly Row[]): string {
  return rows.map(({ id }) => id).join(' ')
}
