import type { Hash } from '../../content/hash.ts'
import { primed } from '../../store/contract/primed.ts'
import { isBlobsError, BlobsError } from '../../store/contract/errors.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import type { BlobInfo, ChangeInput, CopyOf, Cursor, EntryInput, FeedItem } from '../../store/contract/types.ts'
import type { TransferProgress } from '../context.ts'
import { ordered } from '../pool.ts'
import { carryBytes, type Carried } from './bytes.ts'
import { anotherHistory, behind, stretches, type PastEntry, type Stretch } from './history.ts'

export interface Replicating {
  readonly source: BlobStore
  readonly target: BlobStore
  /** What the target has. */
  readonly from: Pick<CopyOf, 'through' | 'last'>
  /** What was written later stays away, milliseconds since 1970. */
  readonly until?: number | undefined
  /** A version whose bytes are damaged goes along without them, as one that is not kept; else it ends everything with `Corrupt`. */
  readonly skipDamaged: boolean
  readonly signal: AbortSignal
  readonly progress: TransferProgress
  /** Writes down how far the target is. */
  readonly mark: (reached: Reached) => Promise<void>
}
export interface Reached {
  readonly through: Cursor
  readonly last: string | undefined
}
export interface Replicated extends Reached {
  readonly entries: number
  readonly versions: number
  /** Of all versions that were copied, whether they had to be sent or not. */
  readonly bytes: number
  /** Versions that went along without their bytes, because these are damaged. */
  readonly damaged: readonly { readonly info: BlobInfo; readonly error: BlobsError }[]
}

/** Stretches whose bytes travel at the same time; their entries follow each other. */
const AT_ONCE = 3
/** So often, in entries and in bytes, it is written down how far it is: a copy that was broken off goes on there. */
const MARK_ENTRIES = 5000
const MARK_BYTES = 512 * 1024 * 1024

/**
 * Copies the history of a bucket behind what the target has, entry by entry, with their ids, times and writers, so that version numbers and
 * tombstones are the same. The bytes of an entry are there before it is; so what the target holds is at any moment what the source held at
 * some position. Killed anywhere, it goes on when it is called again. Throws `Refused` if the target holds something else, or the source
 * is not what it was.
 */
export async function replicate(replicating: Replicating): Promise<Replicated> {
  const { from, mark } = replicating
  const feed = await feedBehind(replicating)
  const done = { entries: 0, versions: 0, bytes: 0, damaged: [] as Replicated['damaged'][number][] }
  let reached: Reached = { through: from.through ?? '', last: from.last }
  let unmarked = { entries: 0, bytes: 0 }
  const ready = ordered(stretches(feed, replicating.until), AT_ONCE, (stretch) => carry(replicating, stretch))
  for await (const { stretch, carried } of ready) {
    const versions = stretch.entries.flatMap((entry) => entry.versions)
    done.damaged.push(...damagedOf(replicating, versions, carried))
    await append(replicating, stretch.entries, carried)
    const bytes = versions.reduce((sum, { size }) => sum + size, 0)
    done.entries += stretch.entries.length
    done.versions += versions.length
    done.bytes += bytes
    replicating.progress.add(0, versions.length)
    reached = { through: stretch.through, last: stretch.entries.at(-1)?.id ?? reached.last }
    unmarked = { entries: unmarked.entries + stretch.entries.length, bytes: unmarked.bytes + bytes }
    if (stretch.end || (unmarked.entries < MARK_ENTRIES && unmarked.bytes < MARK_BYTES)) continue
    await mark(reached)
    unmarked = { entries: 0, bytes: 0 }
  }
  return { ...done, ...reached }
}

/** What there is to copy; nothing is copied. Of bytes some may be in the target already. */
export async function measure(
  replicating: Pick<Replicating, 'source' | 'from' | 'until' | 'signal'>,
): Promise<Omit<Replicated, 'damaged'>> {
  const done = {
    entries: 0,
    versions: 0,
    bytes: 0,
    through: replicating.from.through ?? '',
    last: replicating.from.last,
  }
  for await (const { entries, through } of stretches(await feedBehind(replicating), replicating.until)) {
    const versions = entries.flatMap((entry) => entry.versions)
    done.entries += entries.length
    done.versions += versions.length
    done.bytes += versions.reduce((sum, { size, dropped }) => sum + (dropped === true ? 0 : size), 0)
    done.through = through
  }
  return done
}

/** The source's history behind what the target has; all of it, from its start, where the source does not follow it as far back any more. */
async function feedBehind({
  source,
  from: { through, last },
  signal,
}: Pick<Replicating, 'source' | 'from' | 'signal'>): Promise<AsyncIterable<FeedItem>> {
  if (through === undefined) return source.changes({ signal })
  try {
    return await primed(source.changes({ since: through, signal }))
  } catch (error) {
    if (isBlobsError(error, 'CursorExpired')) {
      const all = source.changes({ signal })
      return last === undefined ? all : behind(all, last)
    }
    if (isBlobsError(error, 'CursorForked')) throw anotherHistory(error)
    throw error
  }
}

interface Ready {
  readonly stretch: Stretch
  readonly carried: ReadonlyMap<Hash, Carried>
}

async function carry({ source, target, signal, progress }: Replicating, stretch: Stretch): Promise<Ready> {
  const onBytes = (bytes: number): void => progress.add(bytes, 0)
  const versions = stretch.entries.flatMap((entry) => entry.versions)
  return { stretch, carried: await carryBytes({ source, target, signal, onBytes }, versions) }
}

/** Throws the first of them unless they are to be skipped. */
function damagedOf(
  { skipDamaged }: Replicating,
  versions: readonly BlobInfo[],
  carried: ReadonlyMap<Hash, Carried>,
): Replicated['damaged'] {
  const damaged = versions.flatMap((info) => {
    const found = carried.get(info.hash)
    return info.dropped !== true && found instanceof BlobsError ? [{ info, error: ofVersion(info, found) }] : []
  })
  const [first] = damaged
  if (first !== undefined && !skipDamaged) throw first.error
  return damaged
}

function ofVersion({ bucket, key, version }: BlobInfo, cause: BlobsError): BlobsError {
  return new BlobsError('Corrupt', `version ${version} of ${bucket}/${key} cannot be copied: ${cause.message}`, {
    bucket,
    key,
    cause,
    hint: 'mend the store: blobs doctor --repair --from … · or go on without these bytes: --skip-damaged',
  })
}

async function append(
  { target, signal }: Replicating,
  entries: readonly PastEntry[],
  carried: ReadonlyMap<Hash, Carried>,
): Promise<void> {
  signal.throwIfAborted()
  if (entries.length === 0) return
  const inputs = entries.map(({ versions, ...entry }): EntryInput => {
    return { ...entry, changes: versions.map((info) => changeOf(info, carried)) }
  })
  const outcomes = await target.commit(inputs)
  const refused = outcomes.find((outcome) => !outcome.ok)
  if (refused === undefined) return
  const [conflict] = refused.ok ? [] : refused.conflicts
  throw new BlobsError(
    'Refused',
    `the copy holds ${conflict?.key ?? 'something'} in another version than the original`,
    {
      hint: 'something else was written into it: copy into a new bucket',
      ...(conflict === undefined ? {} : { key: conflict.key }),
    },
  )
}

function changeOf(info: BlobInfo, carried: ReadonlyMap<Hash, Carried>): ChangeInput {
  const { key, version, hash, size, contentType, meta } = info
  const expect = version === 1 ? 'absent' : { version: version - 1 }
  if (info.deleted) return { type: 'delete', key, expect }
  const found = info.dropped === true ? undefined : carried.get(hash)
  const body = found !== undefined && typeof found === 'object' && 'refs' in found ? found : { dropped: true as const }
  return { type: 'put', key, expect, hash, size, body, contentType, meta }
}
