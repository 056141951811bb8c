import type { Hash } from '../../content/hash.ts'
import type { Content } from '../ports.ts'
import type { Summary, Top } from '../view/start.ts'
import type { KnownCheckpoint } from './newest.ts'
import { PageLost, readPages, readRoot } from './page.ts'

/** Pages read at once. */
const PAGES = 16

/** Hashes of all pages of a checkpoint, in batches; it reads those that name others. Throws `PageLost`. */
export async function* pagesOf(
  content: Content,
  { root, summary }: KnownCheckpoint,
): AsyncGenerator<readonly Hash[], void> {
  yield [root]
  yield* below(content, topsOf(summary))
}

function topsOf({ trees }: Summary): readonly Top[] {
  return Object.values(trees).filter((top) => top !== null)
}

async function* below(content: Content, tops: readonly Top[]): AsyncGenerator<readonly Hash[], void> {
  yield tops.map(([hash]) => hash)
  const inner = tops.filter(([, level]) => level > 0)
  for (let at = 0; at < inner.length; at += PAGES) {
    const some = inner.slice(at, at + PAGES)
    const pages = await readPages(
      content,
      some.map(([hash]) => hash),
    )
    for (const [index, rows] of pages.entries()) {
      const level = (some[index]?.[1] ?? 1) - 1
      yield* below(
        content,
        rows.map((row): Top => [String(row.at(-1)), level]),
      )
    }
  }
}

/** Whether every page is there; asks for each, as who is about to name it. */
export async function isWhole(content: Content, root: Hash): Promise<boolean> {
  try {
    const summary = await readRoot(content, root)
    for await (const hashes of pagesOf(content, { root, summary })) {
      if ((await content.missing(hashes)).length > 0) return false
    }
    return true
  } catch (error) {
    if (error instanceof PageLost) return false
    throw error
  }
}
