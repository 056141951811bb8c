import { sha256 } from '../../content/hash.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { keyProblem } from '../../store/contract/keys.ts'
import type { BlobInfo, EntryInput, Meta } from '../../store/contract/types.ts'
import { openStaging, stagingSlabs } from '../../store/contract/upload.ts'
import { commitSome, type Committed } from '../commit.ts'
import { type TransferContext, unlessAborted } from '../context.ts'
import type { ForeignDelete, ForeignPut, ForeignResult, Found } from './items.ts'

export interface BringOptions {
  /** Only tells what would be done. */
  readonly dryRun: boolean
  /** Brings back what was brought before and changed since. */
  readonly again: boolean
  /** Each thing is a step of a history, not a state: one that was brought is never brought again. */
  readonly history: boolean
}

const BATCH_BYTES = 8 * 1024 * 1024
const BATCH_ITEMS = 500

type Change = ForeignPut | ForeignDelete
interface Planned {
  readonly item: Change
  readonly id: string
}

/**
 * Brings what was found into the bucket. The id of each entry follows from what it brings, so that bringing the same once more changes
 * nothing, whatever was cut short before and whatever happened in the bucket since.
 */
export async function* bring(
  context: TransferContext,
  found: AsyncIterable<Found>,
  options: BringOptions,
): AsyncGenerator<ForeignResult> {
  const known = await readKnown(context)
  const slabs = stagingSlabs()
  let batch: Planned[] = []
  let bytes = 0
  const flush = async (): Promise<readonly ForeignResult[]> => {
    const results = options.dryRun
      ? batch.map(({ item }) => would(item))
      : await bringBatch(context, slabs, batch, known)
    batch = []
    bytes = 0
    return results
  }
  for await (const item of found) {
    context.signal.throwIfAborted()
    const planned = item.kind === 'put' || item.kind === 'delete' ? plan(item, known, options) : item
    if ('id' in planned) {
      batch.push(planned)
      if (planned.item.kind === 'put') bytes += planned.item.size
      if (batch.length < BATCH_ITEMS && bytes < BATCH_BYTES) continue
    }
    yield* told(await flush())
    if (!('id' in planned) && !(item.kind === 'put' && item.silent === true)) yield planned
  }
  yield* told(await flush())
}

/** What belongs to another thing is told only when it failed. */
function* told(results: readonly (ForeignResult & { readonly silent?: boolean })[]): Iterable<ForeignResult> {
  for (const { silent, ...result } of results) if (silent !== true || result.kind === 'failed') yield result
}

/** What is in the bucket. */
interface Known {
  readonly entries: Set<string>
  readonly current: Map<string, BlobInfo>
}

async function readKnown({ store, signal }: TransferContext): Promise<Known> {
  const known: Known = { entries: new Set(), current: new Map() }
  try {
    for await (const item of store.changes({ signal })) {
      if (item.type === 'bookmark') continue
      known.entries.add(item.entry)
      known.current.set(item.key, item)
    }
  } catch (error) {
    // It comes into being with the first write, if it may.
    if (!isBlobsError(error, 'NotFound') || error.key !== undefined) throw error
  }
  signal.throwIfAborted()
  return known
}

function plan(item: Change, { entries, current }: Known, { again, history }: BringOptions): Planned | ForeignResult {
  const { name, key } = item
  const problem = keyProblem(key)
  if (problem !== null) {
    return { kind: 'failed', name, error: new BlobsError('InvalidKey', `${name} cannot have a key: ${problem}`) }
  }
  const id = idOf(item)
  const stands = current.get(key)
  if (!history && item.kind === 'put' && stands !== undefined && isSame(stands, item))
    return { kind: 'unchanged', name }
  if (history) return entries.has(id) ? { kind: 'unchanged', name } : { item, id }
  // An id is good for one outcome only.
  if (again) return { item, id: sha256(Buffer.from(`${id} ${stands?.entry ?? ''}`)).slice(0, 32) }
  if (!entries.has(id)) return { item, id }
  const since = stands?.deleted === true ? 'deleted' : 'changed'
  return { kind: 'skipped', name, reason: `it was imported before and ${since} since; --again brings it back` }
}

function idOf(item: Change): string {
  const { key, device = '', mark = '' } = item
  const what = item.kind === 'put' ? [item.hash, item.contentType, sorted(item.meta)] : []
  return sha256(Buffer.from(JSON.stringify(['import', item.kind, key, device, mark, ...what]))).slice(0, 32)
}

function isSame(stands: BlobInfo, { hash, meta }: ForeignPut): boolean {
  return !stands.deleted && stands.hash === hash && JSON.stringify(sorted(stands.meta)) === JSON.stringify(sorted(meta))
}

function sorted(meta: Meta): readonly (readonly [string, string])[] {
  return Object.entries(meta).sort(([a], [b]) => (a < b ? -1 : 1))
}

function would(item: Change): ForeignResult & { readonly silent?: boolean } {
  const size = item.kind === 'put' ? item.size : 0
  return { kind: 'done', name: item.name, key: item.key, size, info: null, ...silence(item) }
}

function silence(item: Change): { readonly silent?: boolean } {
  return item.kind === 'put' && item.silent === true ? { silent: true } : {}
}

async function bringBatch(
  context: TransferContext,
  slabs: ReturnType<typeof stagingSlabs>,
  batch: readonly Planned[],
  known: Known,
): Promise<readonly (ForeignResult & { readonly silent?: boolean })[]> {
  const staging = openStaging(context.store, { slabs, onBytes: (bytes) => context.progress.add(bytes, 0) })
  const prepared: (EntryInput | { readonly error: unknown })[] = []
  for (const planned of batch)
    prepared.push(await unlessAborted(prepare(context, staging, planned, known), context.signal))
  await unlessAborted(staging.flush(), context.signal)
  context.signal.throwIfAborted()
  const entries = prepared.filter((one) => 'changes' in one)
  const outcomes = (await commitSome(context, entries)).values()
  context.progress.add(0, entries.length)
  return batch.map(({ item }, index) => {
    const one = prepared[index]
    const outcome: Committed | undefined = one !== undefined && 'error' in one ? one : outcomes.next().value
    if (outcome === undefined || 'error' in outcome) return { kind: 'failed', name: item.name, error: outcome?.error }
    const size = item.kind === 'put' ? item.size : 0
    return { kind: 'done', name: item.name, key: item.key, size, info: outcome.info, ...silence(item) }
  })
}

async function prepare(
  { device, operation }: TransferContext,
  staging: ReturnType<typeof openStaging>,
  { item, id }: Planned,
  { current }: Known,
): Promise<EntryInput | { readonly error: unknown }> {
  const { key } = item
  const entry = { id, device: item.device ?? device, operation }
  // A step of a history follows whatever was before it.
  if (item.kind === 'delete') return { ...entry, changes: [{ type: 'delete', key, expect: 'any' }] }
  const stands = current.get(key)
  const isStep = item.device !== undefined
  const expect = isStep
    ? 'any'
    : stands === undefined || stands.deleted
      ? 'absent'
      : { version: stands.version, hash: stands.hash }
  const { contentType, meta } = item
  let ofSource: unknown
  const source = async function* (): AsyncGenerator<Uint8Array> {
    try {
      yield* item.bytes()
    } catch (error) {
      ofSource = error
      throw error
    }
  }
  try {
    const staged = await staging.add(source())
    if (staged.hash !== item.hash) {
      const error = new BlobsError('Corrupt', `${item.name} does not hold the bytes that its name says`, {
        key,
        hint: 'it was spoiled where it lies: take it from another copy',
      })
      return { error }
    }
    return { ...entry, changes: [{ type: 'put', key, expect, contentType, meta, ...staged }] }
  } catch (error) {
    if (ofSource === undefined || ofSource !== error) throw error
    return { error }
  }
}
