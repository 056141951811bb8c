import { BlobsError } from '../store/contract/errors.ts'
import { listPages } from '../store/contract/pages.ts'
import type { BlobInfo, ListItem, ListOptions } from '../store/contract/types.ts'
import type { TransferContext } from './context.ts'

/** A bucket to read from. */
export type Reading = Pick<TransferContext, 'store' | 'bucket' | 'show'>

export async function* listAll(context: Reading, options: ListOptions): AsyncGenerator<ListItem> {
  for await (const page of listPages(context.store, options)) yield* page.items
}

/** What a key names: a blob (or its tombstone), and whether a folder of that name has live blobs in it. */
export interface Named {
  readonly blob: BlobInfo | null
  readonly folder: boolean
}

/** A `key` that ends with `/` names the folder alone; '' is the whole bucket, which is a folder always. */
export async function lookUp(context: Reading, key: string): Promise<Named> {
  if (key === '') return { blob: null, folder: true }
  const [blob, page] = await Promise.all([
    key.endsWith('/') ? null : context.store.head(key),
    context.store.list({ prefix: folderOf(key), limit: 1 }),
  ])
  return { blob, folder: page.items.length > 0 }
}

/** The prefix of everything in the folder that `key` names: with one `/` at its end; '' for the whole bucket. */
export function folderOf(key: string): string {
  return key === '' || key.endsWith('/') ? key : `${key}/`
}

/** The versions of one key, newest first; empty when it never was. */
export async function versionsOf(context: Reading, key: string): Promise<readonly BlobInfo[]> {
  const versions: BlobInfo[] = []
  for await (const page of listPages(context.store, { prefix: key, versions: true, deleted: true, limit: 100 })) {
    // The key itself sorts before all the longer ones.
    versions.push(...page.items.filter((item) => item.key === key))
    if (page.items.some((item) => item.key !== key)) break
  }
  return versions.sort((a, b) => b.version - a.version)
}

/**
 * The live blob at a key, or that version of it. Throws `NotFound`, saying what is known, and `InvalidRequest` (with `folderHint`) when
 * only a folder has the name.
 */
export async function requireBlob(
  context: Reading,
  key: string,
  version?: number,
  folderHint = `name one blob in it; they are told by: blobs ls ${context.show(key)}`,
): Promise<BlobInfo> {
  const name = `${context.bucket}/${key}`
  if (version !== undefined) return requireVersion(context, key, version)
  const { blob, folder } = await lookUp(context, key)
  if (blob && !blob.deleted) return blob
  if (folder) {
    const what = key === '' ? `${context.bucket} is a bucket` : `${name} is a folder`
    throw new BlobsError('InvalidRequest', what, { key, hint: folderHint })
  }
  if (blob) {
    const last = blob.version - 1
    throw new BlobsError('NotFound', `${name} was deleted (version ${blob.version})`, {
      key,
      hint: `bring it back: blobs restore ${context.show(key)} --version ${last} · its past: blobs history ${context.show(key)}`,
    })
  }
  throw new BlobsError('NotFound', `there is no ${name}`, {
    key,
    hint: `what there is: blobs ls ${context.show(parentOf(key))}`,
  })
}

async function requireVersion(context: Reading, key: string, version: number): Promise<BlobInfo> {
  const name = `${context.bucket}/${key}`
  const info = await context.store.head(key, { version })
  const hint = `its versions: blobs history ${context.show(key)}`
  if (!info) throw new BlobsError('NotFound', `there is no version ${version} of ${name}`, { key, hint })
  if (info.deleted) throw new BlobsError('NotFound', `version ${version} of ${name} is a deletion`, { key, hint })
  if (info.dropped) {
    throw new BlobsError(
      'NotFound',
      `version ${version} of ${name} is no more: its bucket does not keep versions as old`,
      {
        key,
        hint: `those it keeps: blobs history ${context.show(key)}`,
      },
    )
  }
  return info
}

function parentOf(key: string): string {
  return key.slice(0, Math.max(0, key.replace(/\/$/, '').lastIndexOf('/')))
}
