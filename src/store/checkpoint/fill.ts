import type { Content } from '../ports.ts'
import { END, START, TREES } from '../view/bounds.ts'
import { PagesWanted, type Gap, type Range } from '../view/gaps.ts'
import type { View } from '../view/view.ts'
import { readPages } from './page.ts'

/** Pages that are read at once. */
const BATCH = 32
/** Pages of a scan that are brought at once, at most. */
const AHEAD = 64

/** Acts on a view, bringing pages that it lacks from Content until it has all that the act touches. Throws `PageLost`. */
export async function filling<T>(view: () => View, content: Content, act: () => T | Promise<T>): Promise<T> {
  for (let ahead = 1; ; ahead = Math.min(2 * ahead, AHEAD)) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof PagesWanted)) throw error
      for (const range of error.ranges) {
        if (range.scan !== undefined) await fillScan(view(), content, range, range.scan === 'growing' ? ahead : 1)
      }
      await fillAll(
        view(),
        content,
        error.ranges.filter(({ scan }) => scan === undefined),
      )
    }
  }
}

/** Brings all that a view lacks. Throws `PageLost`. */
export async function fillWhole(view: View, content: Content): Promise<void> {
  const ranges = TREES.map((tree): Range => ({ tree, low: START, high: END }))
  for (const range of ranges) await fillAll(view, content, [range])
}

/** The first `pages` pages of rows in a range. */
async function fillScan(view: View, content: Content, range: Range, pages: number): Promise<void> {
  for (let left = pages; left > 0;) {
    const gaps = view.gaps(range, Math.min(left, BATCH))
    if (gaps.length === 0) return
    await fillGaps(view, content, gaps)
    left -= gaps.filter(({ level }) => level === 0).length
  }
}

async function fillAll(view: View, content: Content, ranges: readonly Range[]): Promise<void> {
  let open = ranges
  while (open.length > 0) {
    const wanted = new Map<string, Gap>()
    const touched: Range[] = []
    for (const range of open) {
      if (wanted.size >= BATCH) touched.push(range)
      if (wanted.size >= BATCH) continue
      const gaps = view.gaps(range, BATCH)
      if (gaps.length > 0) touched.push(range)
      for (const gap of gaps) wanted.set(`${gap.tree} ${gap.hash} ${Buffer.from(gap.low).toString('hex')}`, gap)
    }
    await fillGaps(view, content, [...wanted.values()])
    open = touched
  }
}

async function fillGaps(view: View, content: Content, gaps: readonly Gap[]): Promise<void> {
  const pages = await readPages(
    content,
    gaps.map(({ hash }) => hash),
  )
  // One by one: to put many rows in takes its time.
  for (const [index, gap] of gaps.entries()) await view.fill(gap, pages[index] ?? [])
}
