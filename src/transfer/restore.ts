import { BlobsError } from '../store/contract/errors.ts'
import type { BlobInfo, ChangeInput, Expectation, PutChange } from '../store/contract/types.ts'
import { commitEach } from './commit.ts'
import type { TransferContext } from './context.ts'
import { folderOf, listAll, lookUp, requireBlob, versionsOf } from './listing.ts'

/** What became of one key. `from` is the version that came back; null when the key had to go, because it was not there then. */
export type RestoreResult =
  | { readonly kind: 'restored' | 'unchanged'; readonly info: BlobInfo; readonly from: number | null }
  | { readonly kind: 'failed'; readonly key: string; readonly error: unknown }

const BATCH = 1000

/** Brings an older version of a blob back as a new one; no bytes travel. Throws `NotFound` when there is no such version or it is a deletion. */
export async function* restoreVersion(
  context: TransferContext,
  key: string,
  version: number,
): AsyncGenerator<RestoreResult> {
  const old = await requireBlob(context, key, version)
  yield* apply(context, [{ key, old, now: await context.store.head(key) }])
}

/**
 * Makes a blob, or everything in a folder, what it was at a time (RFC 3339, by the clock of the place that holds it): what changed
 * comes back as new versions, what came later is deleted. Throws `NotFound` when nothing of that name was there then.
 */
export async function* restoreTime(context: TransferContext, key: string, at: string): AsyncGenerator<RestoreResult> {
  const { blob } = await lookUp(context, key)
  const old = blob ? await versionAt(context, key, at) : null
  if (old) yield* apply(context, [{ key, old, now: blob }])
  else yield* restoreFolder(context, key, at)
}

interface Pair {
  readonly key: string
  readonly old: BlobInfo | null
  readonly now: BlobInfo | null
}

async function* restoreFolder(context: TransferContext, key: string, at: string): AsyncGenerator<RestoreResult> {
  const prefix = folderOf(key)
  const then = listAll(context, { prefix, at })
  const now = listAll(context, { prefix, deleted: true })
  let batch: Pair[] = []
  let some = false
  for await (const pair of merge(then, now)) {
    context.signal.throwIfAborted()
    some ||= pair.old !== null
    batch.push(pair)
    // Nothing is written before something is known to have been there: a mistyped time must not empty a folder.
    if (some && batch.length >= BATCH) {
      yield* apply(context, batch)
      batch = []
    }
  }
  if (!some) throw missing(context, key, at)
  yield* apply(context, batch)
}

/** Both listings are sorted by key alike; the second holds every key that ever was, so each of the first is met in it. */
async function* merge(then: AsyncIterator<BlobInfo>, now: AsyncIterable<BlobInfo>): AsyncGenerator<Pair> {
  let old = await then.next()
  for await (const current of now) {
    const found = !old.done && old.value.key === current.key ? old.value : null
    if (found) old = await then.next()
    yield { key: current.key, old: found, now: current }
  }
  if (!old.done)
    throw new BlobsError('Unavailable', `the listing of ${old.value.bucket} was cut short`, {
      bucket: old.value.bucket,
    })
}

async function versionAt(context: TransferContext, key: string, at: string): Promise<BlobInfo | null> {
  const time = Date.parse(at)
  const versions = await versionsOf(context, key)
  const then = versions.find((info) => Date.parse(info.modified) <= time)
  return then && !then.deleted ? then : null
}

async function* apply(context: TransferContext, pairs: readonly Pair[]): AsyncGenerator<RestoreResult> {
  const changes = pairs.map(changeFor)
  const outcomes = (
    await commitEach(
      context,
      changes.filter((change) => change !== null),
    )
  ).values()
  for (const [index, pair] of pairs.entries()) {
    const from = pair.old?.version ?? null
    if (!changes[index]) {
      if (pair.old && pair.now) yield { kind: 'unchanged', info: pair.now, from }
      continue
    }
    const outcome = outcomes.next().value
    context.progress.add(0, 1)
    if (outcome && 'info' in outcome && outcome.info) yield { kind: 'restored', info: outcome.info, from }
    else if (outcome && 'error' in outcome) yield { kind: 'failed', key: pair.key, error: outcome.error }
  }
}

function changeFor({ key, old, now }: Pair): ChangeInput | null {
  const expect = expectationOf(now)
  if (!old) return now && !now.deleted ? { type: 'delete', key, expect } : null
  if (now && !now.deleted && isSame(old, now)) return null
  const { hash, size, contentType, meta } = old
  return {
    type: 'put',
    key,
    expect,
    hash,
    size,
    body: { copy: { key, version: old.version } },
    contentType,
    meta,
  } satisfies PutChange
}

function expectationOf(now: BlobInfo | null): Expectation {
  if (!now) return 'absent'
  return { version: now.version, hash: now.deleted ? now.entry : now.hash }
}

function isSame(a: BlobInfo, b: BlobInfo): boolean {
  const meta = (info: BlobInfo): string => JSON.stringify(Object.entries(info.meta).sort())
  return a.hash === b.hash && a.contentType === b.contentType && meta(a) === meta(b)
}

function missing(context: TransferContext, key: string, at: string): BlobsError {
  const name = key === '' ? context.bucket : `${context.bucket}/${key}`
  return new BlobsError('NotFound', `${name} did not exist at ${at}`, {
    key,
    hint: `when it changed: blobs history ${context.show(key)}`,
  })
}
