import { compareKeys } from '../contract/keys.ts'
import type { ListOptions, Page } from '../contract/types.ts'

const DEFAULT_LIMIT = 1000

/**
 * What is wrong with a page, or null: an answer to another question, or one after which a reader would never come to an end. What
 * stands in it goes on from where the page before ended, in order, and so does what comes next.
 */
export function pageFault(page: Page, bucket: string, options: ListOptions): string | null {
  const { items, prefixes, complete, next } = page
  const { prefix = '', after, limit = DEFAULT_LIMIT, delimiter, deleted = false } = options
  if (items.length + prefixes.length > limit) return 'a page has more in it than was asked for'
  if (delimiter === undefined && prefixes.length > 0) return 'a page folds what was to be listed'
  for (const item of items) {
    if (item.bucket !== bucket || !item.key.startsWith(prefix) || (item.deleted && !deleted)) {
      return `a page has ${JSON.stringify(item.key)} in it, which was not asked for`
    }
  }
  if (prefixes.some((one) => !one.startsWith(prefix) || !one.endsWith('/'))) {
    return 'a page has folders in it that were not asked for'
  }
  const start = after === undefined ? null : placeOf(after)
  const places = items.map(({ key, version }) => ({ key, version: options.versions ? version : null }))
  const folders = prefixes.map((key) => ({ key, version: null }))
  if (!ascend(start, places) || !ascend(start, folders)) return 'a page goes back, or repeats what was told'
  if (complete || next === undefined) return null
  const end = placeOf(next)
  const last = [places.at(-1), folders.at(-1), start].filter((one) => one !== null && one !== undefined)
  const isBehind = last.every((one) => (one === start ? compare(one, end) < 0 : compare(one, end) <= 0))
  return isBehind ? null : 'a page goes back to where it began'
}

/** Where a listing stands: at a key, or at one of its versions; null there is before all of them. */
interface Place {
  readonly key: string
  readonly version: number | null
}

/** A `next` that stops within the versions of a key has a NUL between them, which no key has. */
function placeOf(text: string): Place {
  const cut = text.indexOf('\0')
  return cut === -1 ? { key: text, version: null } : { key: text.slice(0, cut), version: Number(text.slice(cut + 1)) }
}

function ascend(start: Place | null, places: readonly Place[]): boolean {
  let before = start
  for (const place of places) {
    if (before !== null && compare(before, place) >= 0) return false
    before = place
  }
  return true
}

/** By key, then the newest version first. */
function compare(a: Place, b: Place): number {
  const byKey = compareKeys(a.key, b.key)
  if (byKey !== 0) return byKey
  return (b.version ?? Number.POSITIVE_INFINITY) - (a.version ?? Number.POSITIVE_INFINITY) || 0
}

/** What is wrong with names of buckets that come after another one. */
export function namesFault(
  names: readonly string[],
  after: string | undefined,
  next: string | undefined,
): string | null {
  let before = after
  for (const name of names) {
    if (before !== undefined && name <= before) return 'its list of buckets goes back'
    before = name
  }
  if (next === undefined) return null
  const last = names.at(-1) ?? after
  return (last !== undefined && next < last) || next === after ? 'its list of buckets goes back' : null
}
