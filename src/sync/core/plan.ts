import { clashKey } from './names.ts'
import { comparePaths } from './order.ts'
import { decide, isMarker, unchangedSinceBase } from './reconcile.ts'
import type { Path, Row, Step } from './types.ts'

type Of<T extends Step['type']> = Extract<Step, { type: T }>
type Source = NonNullable<Of<'upload'>['copyOf']>

/**
 * What is to be done, each list in an order that is safe to follow; no path is in two of them. Do `records` first (they are what
 * later rounds rely on), then on disk `conflicts`, `localDeletes`, `downloads`, and in the bucket `uploads`, `remoteDeletes`; the
 * two sides do not wait for each other. Any other order loses nothing either, and takes more rounds or moves more bytes.
 * In the bucket a delete with `movedTo` goes only after its put was done, best in one entry with it. Lists are by key;
 * `localDeletes` backwards, so that what is inside a folder comes before the folder; markers after files.
 */
export interface Plan {
  readonly records: readonly Of<'record'>[]
  readonly uploads: readonly Of<'upload'>[]
  readonly remoteDeletes: readonly Of<'delete-remote'>[]
  readonly localDeletes: readonly Of<'delete-local'>[]
  readonly conflicts: readonly Of<'conflict'>[]
  readonly downloads: readonly Of<'download'>[]
  readonly skips: readonly Of<'skip'>[]
}

export interface PlanOptions {
  /** Where in the bucket these bytes are already, at a version that stays; null: nowhere known. */
  readonly knownCopy?: (hash: string, size: number) => Source | null
}

/**
 * Decides every row. Rows may come in any order, each path once; the same rows give the same plan. A delete and a put of the same
 * bytes are a rename: the delete names the put (`movedTo`), and an upload the place to copy from (`copyOf`).
 */
export function plan(rows: Iterable<Row>, options: PlanOptions = {}): Plan {
  const lists = collect(rows)
  const remote = pairRemote(lists)
  const local = pairLocal(lists)
  return {
    records: lists.records.sort(byPath),
    uploads: lists.uploads.map((step) => withCopy(step, remote.sources.get(step), options)).sort(filesFirst),
    remoteDeletes: lists.remoteDeletes.map((step) => withMove(step, remote.targets.get(step))).sort(filesFirst),
    localDeletes: lists.localDeletes.map((step) => withMove(step, local.get(step))).sort(deepestFirst),
    conflicts: lists.conflicts.sort(byPath),
    downloads: lists.downloads.sort(filesFirst),
    skips: lists.skips.sort(byPath),
  }
}

interface Lists {
  readonly records: Of<'record'>[]
  readonly uploads: Of<'upload'>[]
  readonly remoteDeletes: Of<'delete-remote'>[]
  readonly localDeletes: Of<'delete-local'>[]
  readonly conflicts: Of<'conflict'>[]
  readonly downloads: Of<'download'>[]
  readonly skips: Of<'skip'>[]
}

function collect(rows: Iterable<Row>): Lists {
  const lists: Lists = {
    records: [],
    uploads: [],
    remoteDeletes: [],
    localDeletes: [],
    conflicts: [],
    downloads: [],
    skips: [],
  }
  const respelled: Row[] = []
  for (const row of rows) {
    const step = decide(row)
    if (step === null) continue
    if (step.type === 'skip' && mayBeRespelled(row)) respelled.push(row)
    else add(lists, step)
  }
  addRespelled(lists, respelled)
  return lists
}

function add(lists: Lists, step: Step): void {
  switch (step.type) {
    case 'record':
      lists.records.push(step)
      break
    case 'upload':
      lists.uploads.push(step)
      break
    case 'delete-remote':
      lists.remoteDeletes.push(step)
      break
    case 'delete-local':
      lists.localDeletes.push(step)
      break
    case 'conflict':
      lists.conflicts.push(step)
      break
    case 'download':
      lists.downloads.push(step)
      break
    case 'skip':
      lists.skips.push(step)
      break
  }
}

// On a case-blind disk the old name of `A` → `a` clashes with the new one. It was here, it is unchanged in the bucket, and its
// bytes are here under the other spelling: a rename, the one case where a clashing name may be deleted in the bucket.
function mayBeRespelled(row: Row): boolean {
  return row.unfit === 'name-clash' && row.local === null && unchangedSinceBase(row)
}

function addRespelled(lists: Lists, rows: readonly Row[]): void {
  const uploads = new Set<string>()
  if (rows.length > 0) for (const { path, local } of lists.uploads) uploads.add(spelling(path, local.hash))
  for (const { path, remote } of rows) {
    if (remote === null || remote.kind === 'deleted') continue
    if (uploads.delete(spelling(path, remote.hash))) {
      add(lists, { type: 'delete-remote', path, expect: { version: remote.version, hash: remote.hash } })
    } else add(lists, { type: 'skip', path, reason: 'name-clash' })
  }
}

function spelling(path: Path, hash: string): string {
  return `${hash} ${clashKey(path, { caseBlind: true, windows: false })}`
}

function pairRemote(lists: Lists): { sources: Map<Of<'upload'>, Source>; targets: Map<object, Path> } {
  const sources = new Map<Of<'upload'>, Source>()
  const targets = new Map<object, Path>()
  for (const [from, to] of pairs(lists.remoteDeletes, hashOf, lists.uploads, (step) => step.local.hash)) {
    targets.set(from, to.path)
    if (from.expect !== 'absent') sources.set(to, { path: from.path, version: from.expect.version })
  }
  return { sources, targets }
}

function pairLocal(lists: Lists): Map<object, Path> {
  const found = pairs(
    lists.localDeletes,
    (step) => step.replaces.hash,
    lists.downloads,
    (step) => step.remote.hash,
  )
  return new Map(found.map(([from, to]) => [from, to.path]))
}

function hashOf(step: Of<'delete-remote'>): string {
  return step.expect === 'absent' ? '' : step.expect.hash
}

/** One delete to one put of the same bytes, first to first by key: what is left over on either side is a plain delete or put. */
function pairs<A extends { readonly path: Path }, B extends { readonly path: Path }>(
  deletes: readonly A[],
  deleted: (step: A) => string,
  puts: readonly B[],
  put: (step: B) => string,
): [A, B][] {
  const waiting = new Map<string, A[]>()
  for (const step of deletes.toSorted(byPath).reverse()) {
    if (isMarker(step.path)) continue
    const group = waiting.get(deleted(step))
    if (group === undefined) waiting.set(deleted(step), [step])
    else group.push(step)
  }
  if (waiting.size === 0) return []
  const found: [A, B][] = []
  for (const step of puts.filter((step) => waiting.has(put(step))).sort(byPath)) {
    const from = isMarker(step.path) ? undefined : waiting.get(put(step))?.pop()
    if (from !== undefined) found.push([from, step])
  }
  return found
}

function withCopy(step: Of<'upload'>, source: Source | undefined, options: PlanOptions): Of<'upload'> {
  if (step.local.kind === 'folder' || step.local.size === 0) return step
  const copyOf = source ?? options.knownCopy?.(step.local.hash, step.local.size) ?? null
  return copyOf === null ? step : { ...step, copyOf }
}

function withMove<S extends Of<'delete-remote'> | Of<'delete-local'>>(step: S, movedTo: Path | undefined): S {
  return movedTo === undefined ? step : { ...step, movedTo }
}

function byPath(a: { readonly path: Path }, b: { readonly path: Path }): number {
  return comparePaths(a.path, b.path)
}

function filesFirst(a: { readonly path: Path }, b: { readonly path: Path }): number {
  return Number(isMarker(a.path)) - Number(isMarker(b.path)) || byPath(a, b)
}

function deepestFirst(a: { readonly path: Path }, b: { readonly path: Path }): number {
  return Number(isMarker(a.path)) - Number(isMarker(b.path)) || byPath(b, a)
}
