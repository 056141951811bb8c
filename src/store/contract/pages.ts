import type { BlobStore } from './blob-store.ts'
import { BlobsError } from './errors.ts'
import type { ListOptions, Page } from './types.ts'

/** Pages in a row with nothing in them: hidden keys make some, but one who gives only such pages has no end. */
const EMPTY = 100

/**
 * Pages of a listing, to its end. Throws `Unavailable` for one that is cut short, or does not come to an end: it is never taken for
 * complete.
 */
export async function* listPages(store: Pick<BlobStore, 'list'>, options: ListOptions): AsyncGenerator<Page, void> {
  let { after } = options
  let empty = 0
  for (;;) {
    const page = await store.list({ ...options, ...(after === undefined ? {} : { after }) })
    yield page
    if (page.complete) return
    empty = page.items.length + page.prefixes.length === 0 ? empty + 1 : 0
    if (page.next === undefined || page.next === after || empty > EMPTY) {
      throw new BlobsError('Unavailable', 'the listing of the bucket was cut short', {
        hint: 'it proves nothing; try again',
      })
    }
    after = page.next
  }
}
