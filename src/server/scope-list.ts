import type { BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { compareKeys } from '../store/contract/keys.ts'
import type { ListItem, ListOptions, Page } from '../store/contract/types.ts'

/** A part of the key space that may be seen: one key, or all that starts with `start`. */
interface Part {
  readonly start: string
  readonly whole: boolean
}

interface Gathered {
  readonly items: ListItem[]
  readonly prefixes: string[]
  cursor: string | null
  last: string | undefined
}

const DEFAULT_LIMIT = 1000

/**
 * A page of what lies at or below the prefixes, as if the bucket held nothing else. Throws `Forbidden` for a prefix outside of
 * them: an empty page would say that nothing is there.
 */
export async function listWithin(
  store: Pick<BlobStore, 'list'>,
  allowed: readonly string[],
  options: ListOptions,
): Promise<Page> {
  const asked = options.prefix ?? ''
  const limit = options.limit ?? DEFAULT_LIMIT
  const parts = partsWithin(allowed, asked)
  if (parts.length === 0) {
    throw new BlobsError('Forbidden', `this token may not list ${JSON.stringify(asked)}`, {
      hint: `it lists only at or below ${allowed.join(', ')}`,
    })
  }
  const page: Gathered = { items: [], prefixes: [], cursor: null, last: options.after }
  for (const part of parts) {
    if (!(await gather(store, part, options, limit, page))) return finish(page, false)
  }
  // Every part may lie before `after`: then the store was not asked for its cursor yet.
  page.cursor ??= (await store.list({ prefix: asked, limit: 1 })).cursor
  return finish(page, true)
}

/** The allowed parts that the asked prefix touches, in key order and without overlap; narrowed to it where it is narrower. */
function partsWithin(allowed: readonly string[], asked: string): readonly Part[] {
  const parts = new Map<string, Part>()
  for (const prefix of allowed) {
    const folder = `${prefix}/`
    if (allowed.some((other) => folder !== `${other}/` && folder.startsWith(`${other}/`))) continue
    if (prefix.startsWith(asked)) parts.set(prefix, { start: prefix, whole: false })
    if (folder.startsWith(asked)) parts.set(folder, { start: folder, whole: true })
    else if (asked.startsWith(folder)) parts.set(asked, { start: asked, whole: true })
  }
  return [...parts.values()].sort((a, b) => compareKeys(a.start, b.start))
}

/** Adds what one part holds to the page; false when the page is full and there may be more. */
async function gather(
  store: Pick<BlobStore, 'list'>,
  part: Part,
  options: ListOptions,
  most: number,
  page: Gathered,
): Promise<boolean> {
  const fold = foldOf(part.start, options)
  if (fold !== null && page.last !== undefined && compareKeys(fold, page.last) <= 0) return true
  for (;;) {
    const room = most - page.items.length - page.prefixes.length
    if (room <= 0) return false
    const limit = fold === null && (part.whole || options.versions) ? room : 1
    const found = await store.list({ ...without(options), ...place(part, options, page.last), limit })
    page.cursor ??= found.cursor
    const items = held(part, found.items)
    if (fold !== null && items.length > 0) {
      page.prefixes.push(fold)
      page.last = fold
      return true
    }
    if (fold === null) {
      page.items.push(...items)
      page.prefixes.push(...found.prefixes)
      page.last = lastOf(items, found.prefixes) ?? page.last
    }
    if (found.complete || (!part.whole && items.length < found.items.length)) return true
    // Only the store's own word tells where it stopped: it may have been within the versions of a key.
    page.last = found.next ?? page.last
  }
}

function lastOf(items: readonly ListItem[], prefixes: readonly string[]): string | undefined {
  const ends = [items.at(-1)?.key, prefixes.at(-1)].filter((end) => end !== undefined)
  return ends.sort(compareKeys).at(-1)
}

/** Where the asked delimiter folds the whole part into one prefix, that prefix. */
function foldOf(start: string, { delimiter, prefix = '' }: ListOptions): string | null {
  if (delimiter === undefined) return null
  const end = start.indexOf(delimiter, prefix.length)
  return end === -1 || start.length <= prefix.length ? null : start.slice(0, end + 1)
}

function without({
  prefix: _prefix,
  delimiter: _delimiter,
  after: _after,
  limit: _limit,
  ...rest
}: ListOptions): ListOptions {
  return rest
}

function place(part: Part, { delimiter, prefix = '' }: ListOptions, last: string | undefined): ListOptions {
  const folded = delimiter !== undefined && part.whole && part.start.length === prefix.length
  return {
    prefix: part.start,
    ...(folded ? { delimiter } : {}),
    ...(last === undefined ? {} : { after: last }),
  }
}

/** A part that is one key sees that key alone, though others start with the same text. */
function held(part: Part, items: readonly ListItem[]): readonly ListItem[] {
  return part.whole ? items : items.filter((item) => item.key === part.start)
}

function finish({ items, prefixes, cursor, last }: Gathered, complete: boolean): Page {
  const page = { items, prefixes, complete, cursor: cursor ?? '' }
  return complete || last === undefined ? page : { ...page, next: last }
}
