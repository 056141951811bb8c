import type { Path } from '../core/types.ts'

/** Which folders of a bucket are on this machine. Folders are paths without a trailing slash. */
export interface Selection {
  /** These alone, with everything in them; empty: everything. */
  readonly only: readonly Path[]
  /** These not, whatever `only` says. */
  readonly not: readonly Path[]
}

export const EVERYTHING: Selection = { only: [], not: [] }

/**
 * True for what lies in the selection, and for the folders on the way there with their rule files (`rules`), which are meant for what is below
 * them. `path` without a trailing slash.
 */
export function isSelected({ only, not }: Selection, path: Path, isFolder: boolean, rules: string): boolean {
  if (not.some((folder) => isWithin(path, folder))) return false
  if (only.length === 0 || only.some((folder) => isWithin(path, folder))) return true
  const isRules = path === rules || path.endsWith(`/${rules}`)
  if (!isFolder && !isRules) return false
  const folder = isFolder ? path : path.slice(0, -rules.length)
  return only.some((wanted) => `${wanted}/`.startsWith(isFolder ? `${folder}/` : folder))
}

export function isEverything({ only, not }: Selection): boolean {
  return only.length === 0 && not.length === 0
}

export function isSameSelection(a: Selection, b: Selection): boolean {
  return JSON.stringify([a.only, a.not]) === JSON.stringify([b.only, b.not])
}

function isWithin(path: Path, folder: Path): boolean {
  return path === folder || path.startsWith(`${folder}/`)
}
