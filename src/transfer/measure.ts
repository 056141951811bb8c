import { folderOf, listAll, lookUp, requireBlob, versionsOf, type Reading } from './listing.ts'

export interface Size {
  /** Blobs, or their versions. */
  readonly count: number
  /** As they are; a store needs less for them where they share content. */
  readonly bytes: number
}
export interface Measured extends Size {
  /** One level of folders below, by key, with all that is in them. */
  readonly folders: readonly (Size & { readonly key: string })[]
}

/**
 * How much there is at a key: the blob, and the folder of that name with all that is in it. `versions`: every kept version counts. Throws
 * `NotFound` when there is nothing of that name.
 */
export async function measure(
  context: Reading,
  key: string,
  options: { readonly versions: boolean; readonly signal: AbortSignal },
): Promise<Measured> {
  const { versions, signal } = options
  const { blob, folder } = await lookUp(context, key)
  const own = blob === null ? [] : versions ? await versionsOf(context, key) : [blob].filter((one) => !one.deleted)
  if (own.length === 0 && !folder && !(versions && (await hasPast(context, key)))) await requireBlob(context, key)
  const total = { count: 0, bytes: 0 }
  const folders = new Map<string, { count: number; bytes: number }>()
  for (const { size } of own) add(total, size)
  const prefix = folderOf(key)
  for await (const info of listAll(context, { prefix, ...(versions ? { versions } : {}) })) {
    signal.throwIfAborted()
    add(total, info.size)
    const end = info.key.indexOf('/', prefix.length)
    if (end === -1) continue
    const name = info.key.slice(0, end + 1)
    const below = folders.get(name) ?? { count: 0, bytes: 0 }
    add(below, info.size)
    folders.set(name, below)
  }
  return { ...total, folders: [...folders].map(([name, size]) => ({ key: name, ...size })) }
}

/** Something that was deleted once lies in the folder of that name. */
async function hasPast(context: Reading, key: string): Promise<boolean> {
  const page = await context.store.list({ prefix: folderOf(key), versions: true, limit: 1 })
  return page.items.length > 0 || !page.complete
}

function add(sum: { count: number; bytes: number }, bytes: number): void {
  sum.count += 1
  sum.bytes += bytes
}
