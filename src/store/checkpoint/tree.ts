import type { SortKey } from '../view/bounds.ts'
import type { Top } from '../view/start.ts'
import { encodePage, type Chunk } from './page.ts'

/** How long pages become, as JSON: none ends below `least`, they end about `around` later, and at `most` in any case. */
export interface PageSizes {
  readonly least: number
  readonly around: number
  readonly most: number
}
/** Compressed it is about a third. */
const SIZES: PageSizes = { least: 48 * 1024, around: 80 * 1024, most: 512 * 1024 }

/** Builds a tree of pages from its rows, bottom up: holds one unfinished page of each level. */
export interface TreeBuilder {
  /** Rows come in order. Gives the pages that are finished with it. */
  add(sortKey: SortKey, row: string): readonly Chunk[]
  /** `top` null: there were no rows. */
  finish(): { readonly pages: readonly Chunk[]; readonly top: Top | null }
}

interface Level {
  rows: string[]
  size: number
  /** Of the page that is being filled. */
  first: SortKey
  /** Of the last row, if that is of a page below. */
  hash: string
}

/**
 * Whether a page ends behind a row depends on that row, not on those before: a row more or less changes the pages around it, and all
 * others stay what they are.
 */
export function treeBuilder(sizes: PageSizes = SIZES): TreeBuilder {
  const levels: Level[] = []
  const end = (at: number, level: Level, pages: Chunk[]): void => {
    const page = encodePage(level.rows)
    pages.push(page)
    const { first } = level
    level.rows = []
    level.size = 0
    add(at + 1, first, JSON.stringify([...first, page.hash]), page.hash, pages)
  }
  const add = (at: number, sortKey: SortKey, row: string, hash: string, pages: Chunk[]): void => {
    const level = (levels[at] ??= { rows: [], size: 0, first: sortKey, hash })
    if (level.rows.length === 0) level.first = sortKey
    level.rows.push(row)
    level.size += row.length
    level.hash = hash
    if (isEnd(sizes, level.size, sortKey, row)) end(at, level, pages)
  }
  return {
    add: (sortKey, row) => {
      const pages: Chunk[] = []
      add(0, sortKey, row, '', pages)
      return pages
    },
    finish: () => {
      const pages: Chunk[] = []
      for (let at = 0; ; at++) {
        const level = levels[at]
        if (level === undefined) return { pages, top: null }
        const isTop = at > 0 && levels.length === at + 1 && level.rows.length === 1
        if (isTop) return { pages, top: [level.hash, at - 1] }
        if (level.rows.length > 0) end(at, level, pages)
      }
    },
  }
}

function isEnd({ least, around, most }: PageSizes, size: number, sortKey: SortKey, row: string): boolean {
  if (size >= most) return true
  return size >= least && spread(sortKey) * around < row.length
}

/** A number from 0 up to 1 that looks random, from the sort key alone (FNV-1a, then the last step of MurmurHash3). */
function spread(sortKey: SortKey): number {
  const text = sortKey.join(' ')
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}
