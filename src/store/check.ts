import { existsSync } from 'node:fs'
import { ContentDamaged, walk, type BodyRef } from '../content/body.ts'
import type { Hash } from '../content/hash.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { patiently, sqliteProblem } from '../platform/sqlite.ts'
import { fillWhole } from './checkpoint/fill.ts'
import { epochOf, lostCheckpoint, newestCheckpoint } from './checkpoint/newest.ts'
import { PageLost } from './checkpoint/page.ts'
import { isBlobsError } from './contract/errors.ts'
import type { Finding, Inspection } from './contract/findings.ts'
import type { BlobInfo } from './contract/types.ts'
import { decodeBatch } from './follow.ts'
import type { BucketPorts, Position } from './ports.ts'
import { openComparison, type Comparison } from './view/compare.ts'
import { openView, removeView, viewPath, type BlobVersion, type View } from './view/view.ts'

/** Chunks looked for at once. */
const CHUNKS = 4096
/** Versions read at once. */
const VERSIONS = 500
const REPAIR = 'blobs doctor --repair'
const BRING = 'bring it back from a folder or another store: blobs doctor --repair --from PLACE'

export interface BucketCheckOptions {
  readonly name: string
  /** Stay the caller's. */
  readonly ports: BucketPorts
  /** Where the views are kept; that which is made for the check is there too as long as it takes. */
  readonly viewDirectory: string
  /** True for a chunk that is there, but with other bytes than those of its hash. */
  readonly isDamaged: (hash: Hash) => boolean
  readonly clock: Clock
  readonly ids: Ids
  readonly inspection: Inspection
}
export interface BucketCount {
  readonly entries: number
  readonly versions: number
}

/** A version whose bytes cannot be read. */
export interface LostVersion {
  readonly info: BlobInfo
  /** Chunks and list objects that are missing or altered, at least one; what is below a lost list is not known. */
  readonly hashes: readonly Hash[]
}

/**
 * Reads a bucket's log from its start, or where it was trimmed its checkpoint and the rest: every entry can be read, the view that is kept says what the log says, and of every version
 * each chunk is there. Reports what is not so. Throws `NotSupported` for entries of a newer program, `NotFound` if the bucket is removed
 * meanwhile.
 */
export async function checkBucket(options: BucketCheckOptions): Promise<BucketCount> {
  const { name, inspection } = options
  const report: Report = async (found) => {
    await checkThere(options.ports)
    inspection.report({ severity: 'damage', remedy: REPAIR, bucket: name, ...found })
  }
  const path = viewPath(options.viewDirectory, `check-${options.ids.next()}`)
  const fresh = await openView({ path, bucket: name, clock: options.clock, ids: options.ids })
  try {
    const entries = await rebuild(options, fresh, path, report)
    let versions = 0
    for await (const { info, hashes } of lostVersions(options, fresh, () => versions++)) {
      const { key, version } = info
      const more = hashes.length > 1 ? ` and ${hashes.length - 1} more` : ''
      const message = `${name}/${key} version ${version} cannot be read: chunk ${hashes[0] ?? ''}${more} is lost`
      await report({ code: 'content', message, remedy: BRING, key, version })
    }
    return { entries, versions }
  } finally {
    fresh.close()
    removeView(path)
  }
}

type Report = (found: Pick<Finding, 'code' | 'message'> & Partial<Finding>) => Promise<void>

/** Throws `NotFound` if the bucket was removed: then it is no wonder that something is missing. */
async function checkThere(ports: BucketPorts): Promise<void> {
  try {
    await epochOf(ports)
  } catch (error) {
    if (!isBlobsError(error, 'Corrupt')) throw error
  }
}

/** Reads the log into the fresh view, and compares that with the kept one on the way; gives the number of entries. */
async function rebuild(options: BucketCheckOptions, fresh: View, path: string, report: Report): Promise<number> {
  const { name, ports, inspection } = options
  let entries = 0
  let comparison: Comparison | null = null
  try {
    const epoch = await epochOf(ports)
    if (epoch !== null) comparison = await hold(options, viewPath(options.viewDirectory, epoch), path, report)
    const start = await begin(ports, fresh)
    // What a view said of a position that is trimmed away nobody can tell.
    let open = comparison !== null && comparison.position >= start
    if (open && comparison?.position === start) {
      open = false
      await compare(options, comparison, fresh, report)
    }
    for await (const batch of ports.log.read({ after: start })) {
      const until = open ? (comparison?.position ?? 0) : 0
      const decoded = await decodeBatch(batch, ports)
      await fresh.apply(decoded.filter(({ position }) => position <= until))
      if (open && (batch.at(-1)?.position ?? 0) >= until) {
        open = false
        await compare(options, comparison, fresh, report)
      }
      if (!open) await fresh.apply(decoded)
      entries += batch.length
      await inspection.pace(batch.reduce((sum, { data }) => sum + data.length, 0))
    }
    if (open) {
      const message = `the view of bucket ${name} has read up to entry ${comparison?.position}, but the log ends at ${fresh.state().position}: entries were lost, or an older store.db was put back`
      await report({ code: 'view', severity: 'warning', message })
    }
  } catch (error) {
    if (!isBlobsError(error, 'Corrupt')) throw error
    await report({ code: 'log', message: `the log of bucket ${name} cannot be read to its end: ${error.message}` })
  } finally {
    comparison?.close()
  }
  return entries
}

/** Where the log was trimmed the fresh view begins with all that its checkpoint says; gives the position. Throws `Corrupt` if that cannot be read. */
async function begin(ports: BucketPorts, fresh: View): Promise<Position> {
  const floor = (await ports.log.trimming?.floor()) ?? 0
  if (floor === 0) return 0
  const newest = await newestCheckpoint(ports)
  if (newest === null) throw lostCheckpoint(null)
  await fresh.start({ ...newest, floor })
  try {
    await fillWhole(fresh, ports.content)
  } catch (error) {
    throw error instanceof PageLost ? lostCheckpoint(error) : error
  }
  return newest.summary.position
}

async function hold(
  { name, clock, ports }: BucketCheckOptions,
  kept: string,
  path: string,
  report: Report,
): Promise<Comparison | null> {
  if (!existsSync(kept)) return null
  try {
    return await patiently(clock, () => openComparison(kept, path))
  } catch (error) {
    if (await isTakenAway(ports, kept, error)) return null
    if (sqliteProblem(error) !== 'corrupt') throw error
    await report({ code: 'view', message: `the view of bucket ${name} cannot be read` })
    return null
  }
}

/**
 * True if the error is that of a view whose file went while it was opened, to be made anew. Throws `NotFound` if it went with its bucket.
 */
async function isTakenAway(ports: BucketPorts, kept: string, error: unknown): Promise<boolean> {
  const problem = sqliteProblem(error)
  if (problem !== 'io' && problem !== 'cannot-open') return false
  await checkThere(ports)
  return !existsSync(kept)
}

async function compare(
  { name, clock }: BucketCheckOptions,
  comparison: Comparison | null,
  fresh: View,
  report: Report,
): Promise<void> {
  if (comparison === null) return
  const { position, entry } = fresh.state()
  if (position !== comparison.position || entry !== comparison.entry) {
    return report({ code: 'view', message: `the view of bucket ${name} has read another log` })
  }
  try {
    const difference = await patiently(clock, () => comparison.difference())
    if (difference !== null)
      await report({
        code: 'view',
        message: `the view of bucket ${name} does not say what its log says: ${difference}`,
      })
  } catch (error) {
    if (sqliteProblem(error) !== 'corrupt') throw error
    await report({ code: 'view', message: `the view of bucket ${name} cannot be read` })
  }
}

/** Of all versions that the view knows those that lack bytes; `looked` is called for each version. */
export async function* lostVersions(
  { ports, isDamaged }: Pick<BucketCheckOptions, 'ports' | 'isDamaged'>,
  view: View,
  looked: () => void = () => undefined,
): AsyncGenerator<LostVersion, void> {
  const asked = new Map<Hash, Set<BlobVersion>>()
  const lost = new Map<BlobVersion, Set<Hash>>()
  const lose = (version: BlobVersion, hash: Hash): void =>
    void lost.set(version, (lost.get(version) ?? new Set()).add(hash))
  const settle = async function* (): AsyncGenerator<LostVersion, void> {
    const missing = new Set(await ports.content.missing([...asked.keys()]))
    for (const [hash, versions] of asked) {
      if (missing.has(hash) || isDamaged(hash)) for (const version of versions) lose(version, hash)
    }
    for (const [{ info }, hashes] of lost) yield { info, hashes: [...hashes] }
    asked.clear()
    lost.clear()
  }
  const ask = (version: BlobVersion, refs: readonly BodyRef[]): void => {
    for (const { hash } of refs) asked.set(hash, (asked.get(hash) ?? new Set()).add(version))
  }
  for (const version of versionsOf(view)) {
    looked()
    ask(version, version.body.refs)
    try {
      if (version.body.depth > 0) {
        for await (const { refs } of walk(version.body, (hashes) => ports.content.get(hashes))) ask(version, refs)
      }
    } catch (error) {
      if (!(error instanceof ContentDamaged)) throw error
      lose(version, error.hash)
      // The other lists of the body lead on to chunks that may be lost as well; they are found when this one is back.
    }
    if (asked.size >= CHUNKS) yield* settle()
  }
  yield* settle()
}

function* versionsOf(view: View): Generator<BlobVersion, void> {
  for (let mark = view.mark(null); mark !== null;) {
    const page = view.history(mark, VERSIONS)
    for (const { key, version, deleted } of page?.items ?? []) {
      const found = deleted ? null : view.findBlob(key, version)
      if (found !== null) yield found
    }
    mark = page === null || page.head !== null ? null : page.mark
  }
}
