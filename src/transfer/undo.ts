import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { listPages } from '../store/contract/pages.ts'
import type { BlobInfo, ChangeInput } from '../store/contract/types.ts'
import { commitEntries } from './commit.ts'
import type { TransferContext } from './context.ts'
import { ordered } from './pool.ts'

/** Keys that one entry can take back. */
const MOST = 20_000
const AT_ONCE = 16
/** So many versions are asked for one by one. */
const FEW = 50
/** So many versions of a listing are read for each that is wanted, before the others are asked for. */
const WORTH = 50

/** A key that a command changed. */
interface Step {
  /** As the command left it. */
  readonly now: BlobInfo
  /** As it was before the command; null if it was not there. */
  readonly before: BlobInfo | null
}
/** The last command of a device in one bucket. */
export interface UndoPlan {
  readonly context: TransferContext
  readonly operation: string
  /** When it wrote last; milliseconds since 1970. */
  readonly time: number
  readonly steps: readonly Step[]
}
/** `info` is what stands there now; `from` the version that came back, null for a key that went. */
export interface Undone {
  readonly info: BlobInfo
  readonly from: number | null
}

/**
 * What the last command of a device did in a bucket, and how that is taken back; null if it wrote nothing there. Throws `VersionConflict`
 * when others wrote in between, `Refused` for one of too many keys.
 */
export async function planUndo(context: TransferContext, device: string): Promise<UndoPlan | null> {
  const touched = new Map<string, { first: BlobInfo; last: BlobInfo; versions: number }>()
  let operation = ''
  let time = 0
  for await (const item of context.store.changes({ lastOf: device, signal: context.signal })) {
    if (item.type === 'bookmark') continue
    operation = item.operation ?? ''
    time = Math.max(time, Date.parse(item.modified))
    const known = touched.get(item.key)
    touched.set(item.key, { first: known?.first ?? item, last: item, versions: (known?.versions ?? 0) + 1 })
    if (touched.size > MOST) throw tooMany(context)
  }
  context.signal.throwIfAborted()
  if (touched.size === 0) return null
  const before = await versionsBefore(
    context,
    [...touched.values()].map(({ first }) => first),
  )
  const steps: Step[] = []
  for (const { first, last, versions } of touched.values()) {
    if (last.version - first.version + 1 !== versions) throw await movedOn(context, last)
    steps.push({ now: last, before: before.get(last.key) ?? null })
  }
  return { context, operation, time, steps }
}

/** Throws `VersionConflict` unless every key is as the command left it. */
export async function checkUndo({ context, steps }: UndoPlan): Promise<void> {
  for await (const _checked of ordered(steps, AT_ONCE, async ({ now }) => {
    const current = await context.store.head(now.key)
    if (current?.version !== now.version || current.entry !== now.entry) throw await movedOn(context, now)
  })) {
    // Thrown, or fine.
  }
}

/** Takes the command back with one entry: all of it or nothing. Throws `VersionConflict` when a key moved on. */
export async function undo({ context, steps }: UndoPlan): Promise<readonly Undone[]> {
  const changes = steps.flatMap((step) => changeFor(step) ?? [])
  if (changes.length === 0) return []
  const [outcome] = await commitEntries(context, [changes])
  if (!outcome || 'error' in outcome) throw adviseNothing(outcome?.error, context)
  const from = new Map(steps.map(({ now, before }) => [now.key, before?.version ?? null]))
  return outcome.all.map((info) => ({ info, from: from.get(info.key) ?? null }))
}

/** What each key was before these versions, by key; a key that was not there is left out. Many are read from a listing. */
async function versionsBefore(
  context: TransferContext,
  firsts: Iterable<BlobInfo>,
): Promise<ReadonlyMap<string, BlobInfo>> {
  const wanted = new Map<string, number>()
  for (const { key, version } of firsts) if (version > 1) wanted.set(key, version - 1)
  const found = new Map<string, BlobInfo>()
  const most = wanted.size * WORTH
  let scanned = 0
  const options = { prefix: commonPrefix([...wanted.keys()]), versions: true, deleted: true }
  for await (const page of wanted.size > FEW ? listPages(context.store, options) : []) {
    context.signal.throwIfAborted()
    for (const info of page.items) if (wanted.get(info.key) === info.version) found.set(info.key, info)
    scanned += page.items.length
    if (found.size === wanted.size || scanned > most) break
  }
  const rest = [...wanted].filter(([key]) => !found.has(key))
  const asked = ordered(rest, AT_ONCE, ([key, version]) => context.store.head(key, { version }))
  for await (const info of asked) if (info) found.set(info.key, info)
  for (const [key, { deleted }] of found) if (deleted) found.delete(key)
  return found
}

function commonPrefix(keys: readonly string[]): string {
  let prefix = keys[0] ?? ''
  for (const key of keys) while (!key.startsWith(prefix)) prefix = prefix.slice(0, -1)
  // Half a character is no text.
  return prefix.isWellFormed() ? prefix : prefix.slice(0, -1)
}

function changeFor({ now, before }: Step): ChangeInput | null {
  const { key, version } = now
  const expect = { version, hash: now.deleted ? now.entry : now.hash }
  if (before === null) return now.deleted ? null : { type: 'delete', key, expect }
  const { hash, size, contentType, meta } = before
  return { type: 'put', key, expect, hash, size, body: { copy: { key, version: before.version } }, contentType, meta }
}

async function movedOn(
  context: TransferContext,
  { key, version, hash, deleted, entry }: BlobInfo,
): Promise<BlobsError> {
  const { bucket } = context
  const expected = { version, hash: deleted ? entry : hash }
  const conflicts = [{ key, expected, current: await context.store.head(key) }]
  const error = new BlobsError('VersionConflict', `${bucket}/${key} has changed`, { bucket, key, conflicts })
  return adviseNothing(error, context) as BlobsError
}

function adviseNothing(error: unknown, { show, bucket }: TransferContext): unknown {
  if (!isBlobsError(error, 'VersionConflict')) return error
  const { conflicts, message } = error
  const key = conflicts[0]?.key ?? ''
  const hint = `nothing was undone; what came after: blobs history ${show(key)}`
  return new BlobsError('VersionConflict', message, { bucket, key, conflicts, hint })
}

function tooMany({ bucket, show }: TransferContext): BlobsError {
  return new BlobsError(
    'Refused',
    `the last command changed more than ${MOST.toLocaleString('en-US')} keys of ${bucket}`,
    {
      bucket,
      hint: `nothing was undone; bring it back to a time: blobs restore ${show('')} --at TIME`,
    },
  )
}
