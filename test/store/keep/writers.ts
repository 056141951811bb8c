import * as fc from 'fast-check'
import { expect } from 'vitest'
import { isBlobsError } from '../../../src/store/contract/errors.ts'
import type { BlobStore } from '../../../src/store/contract/blob-store.ts'
import type { PutChange } from '../../../src/store/contract/types.ts'
import { bytesOf, commit, deleteChange, entry, listAll, putChange } from '../acts.ts'
import { noise } from '../noise.ts'
import type { HandClock } from './interleaved.ts'

const HOUR = 3_600_000

/** What a writer does; `stage` is apart from `name`, which commits what was staged last, so that hours may lie between them. */
export type Act =
  | { readonly type: 'stage' | 'name' | 'commit' | 'delete'; readonly key: string; readonly content: number }
  | { readonly type: 'hours'; readonly hours: number }
  | Copy
interface Copy {
  readonly type: 'copy'
  readonly key: string
  readonly from: string
  readonly back: number
}

const key = fc.constantFrom('a', 'b', 'c')
export const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ type: fc.constantFrom('stage', 'name', 'commit', 'delete'), key, content: fc.nat(3) }),
  fc.record({ type: fc.constant('hours' as const), hours: fc.integer({ min: 1, max: 30 }) }),
  fc.record({ type: fc.constant('copy' as const), key, from: key, back: fc.nat(3) }),
)

const TOLD = ['InvalidRequest', 'NotFound', 'Unavailable'] as const

/** Commits so that nothing is ever lost: what was staged too long ago is staged again. */
async function commitBytes(store: BlobStore, name: string, content: number): Promise<void> {
  await commit(store, entry(await putChange(store, name, noise(content === 0 ? 70_000 : 500, content))))
}

/** A writer, and how many commits are under way with all of them. */
export interface Writer {
  readonly store: BlobStore
  readonly busy: { count: number }
  staged: PutChange | null
}

export async function perform(writer: Writer, one: Act, clock: HandClock): Promise<void> {
  const { store, busy } = writer
  if (one.type === 'hours') {
    // A commit is in the log soon after it asked for its chunks: that is what collecting relies on.
    if (busy.count === 0) clock.forward(one.hours * HOUR)
    return
  }
  busy.count += 1
  try {
    if (one.type === 'stage')
      writer.staged = await putChange(store, one.key, noise(one.content === 0 ? 70_000 : 500, one.content))
    else if (one.type === 'name') {
      if (writer.staged !== null) await commit(store, entry(writer.staged))
    } else if (one.type === 'commit') await commitBytes(store, one.key, one.content)
    else if (one.type === 'delete') await commit(store, entry(deleteChange(one.key)))
    else if (one.type === 'copy') await copy(store, one)
  } catch (error) {
    // Removed between its staging and its commit, dropped between the look at it and the copy, or stopped for too long: told, and nothing is written.
    if (!TOLD.some((code) => isBlobsError(error, code))) throw error
  } finally {
    busy.count -= 1
  }
}

async function copy(store: BlobStore, { key: to, from, back }: Copy): Promise<void> {
  const newest = await store.head(from)
  const version = (newest?.version ?? 0) - back
  const old = version < 1 ? null : await store.head(from, { version })
  if (old === null || old.deleted) return
  const { hash, size, contentType, meta } = old
  const body = { copy: { key: from, version } }
  await commit(store, entry({ type: 'put', key: to, expect: 'any', hash, size, body, contentType, meta }))
}

/** Throws unless all versions that are not said to be dropped can be read. */
export async function readAll(store: BlobStore): Promise<number> {
  const versions = (await listAll(store, { versions: true })).flatMap(({ items }) => items)
  const kept = versions.filter(({ dropped }) => dropped !== true)
  for (const { key, version, size } of kept) expect((await bytesOf(store, key, { version }))?.length).toBe(size)
  return kept.length
}
