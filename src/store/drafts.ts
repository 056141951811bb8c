import type { Body } from '../content/body.ts'
import { BlobsError } from './contract/errors.ts'
import type { ChangeInput, EntryInput, PutChange } from './contract/types.ts'
import type { EntryChange } from './entry.ts'
import type { Draft } from './judge.ts'
import type { BlobVersion, View } from './view/view.ts'

/** Who writes when an entry does not say. */
export interface Writer {
  readonly author: string
  readonly device: string
}

/** Turns what a caller wrote into what the log holds; a copy gets the body that it means. Throws `NotFound`, `InvalidRequest` for a copy of what is not there. */
export function draftsOf(view: View, entries: readonly EntryInput[], writer: Writer): readonly Draft[] {
  const written = new Map<string, PutChange>()
  const sources = sourcesOf(view, entries)
  const bodyOf = (change: PutChange): Body => {
    if ('dropped' in change.body) return NOTHING
    return 'copy' in change.body ? copied(sources, written, change, change.body.copy) : change.body
  }
  return entries.map(({ id, changes, author, device, operation, time }) => ({
    id,
    author: author ?? writer.author,
    device: device ?? writer.device,
    ...(operation === undefined ? {} : { operation }),
    ...(time === undefined ? {} : { time }),
    changes: changes.map((change): EntryChange => draftChange(change, written, bodyOf)),
  }))
}

const NOTHING: Body = { depth: 0, refs: [] }

/** What is to be copied, as far as it is there, by `nameOf`. */
function sourcesOf(view: View, entries: readonly EntryInput[]): ReadonlyMap<string, BlobVersion | null> {
  const copies = entries.flatMap(({ changes }) =>
    changes.flatMap((change) => (change.type === 'put' && 'copy' in change.body ? [change.body.copy] : [])),
  )
  if (copies.length === 0) return new Map()
  const found = view.findBlobs(copies)
  return new Map(copies.map((copy, index) => [nameOf(copy), found[index] ?? null]))
}

function nameOf({ key, version }: { readonly key: string; readonly version: number }): string {
  return `${version} ${key}`
}

function draftChange(
  change: ChangeInput,
  written: Map<string, PutChange>,
  bodyOf: (change: PutChange) => Body,
): EntryChange {
  const { key, expect } = change
  if (change.type === 'delete') return { delete: key, expect }
  const { depth, refs } = bodyOf(change)
  const { hash, size, contentType: type, meta } = change
  const put = {
    put: key,
    expect,
    hash,
    size,
    depth,
    refs: refs.map((ref) => [ref.hash, ref.size] as const),
    type,
    meta,
  }
  if ('dropped' in change.body) return { ...put, dropped: true }
  written.set(`${hash} ${key}`, { ...change, body: { depth, refs } })
  return put
}

/** The body of a version that is in the bucket, or that an earlier change of the same call makes. */
function copied(
  sources: ReadonlyMap<string, BlobVersion | null>,
  written: ReadonlyMap<string, PutChange>,
  { key, hash, size }: PutChange,
  source: { readonly key: string; readonly version: number },
): Body {
  const found = sources.get(nameOf(source)) ?? null
  if (found?.info.hash === hash && found.info.size === size) return found.body
  const earlier = written.get(`${hash} ${source.key}`)
  if (earlier !== undefined && earlier.size === size && 'refs' in earlier.body) return earlier.body
  const what = `version ${source.version} of ${source.key}`
  if (found !== null) {
    throw new BlobsError('InvalidRequest', `${key} is to be a copy of ${what}, but that has other bytes`, {
      key,
      hint: 'read its hash and size again',
    })
  }
  throw new BlobsError('NotFound', `${key} is to be a copy of ${what}, which is not there, or not any more`, {
    key: source.key,
  })
}
