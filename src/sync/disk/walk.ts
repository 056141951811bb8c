import { EMPTY_HASH } from '../../content/hash.ts'
import type { FileStat, FileSystem } from '../../platform/ports.ts'
import type { Path, Reason } from '../core/types.ts'
import { IGNORE_FILE, type Ignore } from './ignore.ts'
import { identityOf } from './look.ts'
import type { Root } from './marker.ts'
import { below, isAscii, keyOf, ownerOfKey } from './names.ts'
import type { Strays } from './strays.ts'
import type { Children, Identity, Known, KnownTree, Observation, Observed } from './observed.ts'

/** A folder to be walked. */
export interface Folder {
  readonly path: Path
  readonly disk: string
  readonly dev: bigint
  readonly deep: boolean
  /** What was known at `path` (a file, or a folder that could not be judged) and at `path/` (an empty one). */
  readonly self: Known | null
  readonly marker: Known | null
}

/** A file that is not as it was known: its bytes have to be read. */
export interface Suspect {
  readonly path: Path
  readonly disk: string
  readonly known: Known | null
}
export type Found = Observation | Suspect

export interface WalkOptions {
  readonly fs: FileSystem
  readonly root: Root
  readonly known: KnownTree
  readonly ignore: Ignore
  /** Files of folders that were found to be gone: one that has another name now need not be read. */
  readonly strays: Strays
}

export const EMPTY_FOLDER = { kind: 'folder', hash: EMPTY_HASH, size: 0, executable: false } as const
const ABSENT = { kind: 'absent' } as const
const PAUSE_EACH = 512
const NONE: ReadonlySet<string> = new Set()

/** What differs directly in one folder; folders in it that have to be walked are pushed. Yields null now and then. */
export function* walkFolder(
  options: WalkOptions,
  folder: Folder,
  push: (folder: Folder) => void,
): Generator<Found | null> {
  const { fs, root, known } = options
  const { path } = folder
  if (folder.dev !== root.dev) return yield* unknownFolder(options, folder, 'other-device')
  const listed = attempt(() => fs.list(folder.disk))
  if ('code' in listed) {
    // It went while we looked: an event, or the next scan, will tell.
    if (listed.code === 'ENOENT' || listed.code === 'ENOTDIR') return
    return yield* unknownFolder(options, folder, 'unreadable')
  }
  // A rule file that cannot be read is no rule file without rules.
  const rules = attempt(() => options.ignore.ignores(below(path, 'x'), false))
  if ('code' in rules) {
    const file = below(path, IGNORE_FILE)
    if (listed.value.some(({ name }) => name === IGNORE_FILE) && !known.get(file))
      yield { path: file, node: { kind: 'unknown', reason: 'unreadable' } }
    return yield* unknownFolder(options, folder, 'unreadable')
  }
  if (folder.self) yield { path, node: ABSENT }
  if (path !== '') yield* markerOf(folder, listed.value.length === 0)
  const before = known.children(path)
  const unchanged = folder.deep ? NONE : foldersAsBefore(listed.value, before)
  const seen = new Set<string>()
  let count = 0
  for (const [key, name] of names(listed.value)) {
    if (++count % PAUSE_EACH === 0) yield null
    const at = below(path, key)
    if (name === null) {
      seen.add(key)
      yield* unknown(at, 'name-not-unicode', knownAt(options, before, key, at))
      continue
    }
    if (unchanged.has(key) && !options.ignore.ignores(at, true)) {
      seen.add(key)
      continue
    }
    const disk = `${folder.disk}/${name}`
    const looked = attempt(() => fs.lstat(disk))
    if ('value' in looked && looked.value === null) continue
    seen.add(key)
    const stat = 'code' in looked ? null : looked.value
    // Nearly all of a tree is as it was: no more than this is done for it.
    if (stat !== null && isAsBefore(stat, before, key) && !options.ignore.ignores(at, false)) continue
    yield* entry(options, folder, { key, name, disk, path: at, stat, before }, push)
  }
  yield* gone(options, folder, before, seen)
}

/** Keys of folders that were folders and nothing else. Where nothing below is to be looked at, the listing says all there is to know of them. */
function foldersAsBefore(
  items: ReturnType<FileSystem['list']>,
  { files, others, folders }: Children,
): ReadonlySet<string> {
  const found = new Set<string>()
  for (const { kind, name } of items) {
    if (kind !== 'folder' || name === null || !folders.has(name) || keyOf(name) !== name) continue
    if (!files.has(name) && !others.has(name)) found.add(name)
  }
  return found
}

/** Who asks for more than the identity of a file that was known pays for it: few are asked for. */
function knownAt({ known }: WalkOptions, before: Children, key: string, path: Path): Known | null {
  return before.files.has(key) ? known.get(path) : (before.others.get(key) ?? null)
}

interface Entry {
  readonly key: string
  /** On disk. */
  readonly name: string
  readonly disk: string
  readonly path: Path
  /** Null when the disk does not say. */
  readonly stat: FileStat | null
  readonly before: Children
}

function* entry(options: WalkOptions, folder: Folder, item: Entry, push: (folder: Folder) => void): Generator<Found> {
  const { ignore } = options
  const { key, path, disk, stat, before } = item
  const known = knownAt(options, before, key, path)
  const marker = before.others.get(`${key}/`) ?? null
  const inside = before.folders.has(key)
  const whole = { path, known, marker, inside }
  if (ignore.ignores(path, stat ? stat.kind === 'folder' : inside))
    return yield* everything(options, whole, { kind: 'ignored' })
  if (stat === null) return yield* everything(options, whole, { kind: 'unknown', reason: 'unreadable' })
  // What had a key of its own by another name has lost it to this one.
  if (keyOf(item.name) !== key) return yield* unknown(path, 'name-clash', known)
  if (stat.kind === 'folder') {
    // One that was something else, or could not be judged before, is judged as a whole now.
    const deep = folder.deep || !inside || known !== null
    if (deep) push({ path, disk, dev: stat.dev, deep, self: known, marker })
    return
  }
  if (stat.kind !== 'file') {
    const reason = stat.kind === 'symlink' ? 'symlink' : 'special-file'
    return yield* everything(options, whole, { kind: 'unknown', reason })
  }
  if (marker) yield { path: `${path}/`, node: ABSENT }
  if (inside) yield* allBelow(options, path, ABSENT)
  if (isSame(stat, before.files.get(key))) return
  const stray = known === null ? options.strays.find(stat) : null
  yield stray === null ? { path, disk, known } : { path, node: stray }
}

/** True for a file of which nothing but itself was known, and that did not change. */
function isAsBefore(stat: FileStat, { files, others, folders }: Children, key: string): boolean {
  if (stat.kind !== 'file' || !isSame(stat, files.get(key))) return false
  return !folders.has(key) && (others.size === 0 || !others.has(`${key}/`))
}

function isSame(stat: FileStat, known: Identity | undefined): boolean {
  return known !== undefined && known !== '' && known === identityOf(stat)
}

interface Whole {
  readonly path: Path
  readonly known: Known | null
  readonly marker: Known | null
  readonly inside: boolean
}

/** One verdict for a name that is there, its empty-folder marker, and all that was known below it. */
function* everything(options: WalkOptions, whole: Whole, node: Observed): Generator<Observation> {
  const { path, known, marker, inside } = whole
  if (known || node.kind === 'unknown') yield* differing(path, node, known)
  if (marker) yield* differing(`${path}/`, node, marker)
  if (inside) yield* allBelow(options, path, node)
}

function* differing(path: Path, node: Observed, known: Known | null): Generator<Observation> {
  if (node.kind === 'unknown') yield* unknown(path, node.reason, known)
  else yield { path, node }
}

function* unknown(path: Path, reason: Reason, known: Known | null): Generator<Observation> {
  if (known?.kind !== 'unknown' || known.reason !== reason) yield { path, node: { kind: 'unknown', reason } }
}

/** A folder that cannot be judged: it is listed itself, and nothing below it counts as gone. */
function* unknownFolder(options: WalkOptions, folder: Folder, reason: Reason): Generator<Observation> {
  const { path, self, marker } = folder
  const node = { kind: 'unknown', reason } as const
  if (path !== '') yield* unknown(path, reason, self)
  if (marker) yield* unknown(`${path}/`, reason, marker)
  yield* allBelow(options, path, node)
}

/** Everything known below a folder gets one verdict; but what the rules leave alone now is never called gone. */
function* allBelow({ known, ignore }: WalkOptions, folder: Path, node: Observed): Generator<Observation> {
  // Taken at once: the tree may change between two batches.
  for (const path of Array.from(known.below(folder))) {
    if (node.kind === 'absent') yield { path, node: ignoredBy(ignore, path) ? { kind: 'ignored' } : node }
    else yield* differing(path, node, known.get(path))
  }
}

function ignoredBy(ignore: Ignore, path: Path): boolean {
  return path.endsWith('/') ? ignore.ignores(path.slice(0, -1), true) : ignore.ignores(path, false)
}

function* markerOf({ path, marker }: Folder, empty: boolean): Generator<Observation> {
  if (empty && marker?.kind !== 'folder') yield { path: `${path}/`, node: EMPTY_FOLDER }
  if (!empty && marker) yield { path: `${path}/`, node: ABSENT }
}

/** What was known directly in a folder and is not listed any more. */
function* gone(
  options: WalkOptions,
  folder: Folder,
  before: Children,
  seen: ReadonlySet<string>,
): Generator<Observation> {
  const lost: string[] = []
  for (const name of before.files.keys()) if (!seen.has(name)) lost.push(name)
  for (const name of before.others.keys()) if (!seen.has(name.endsWith('/') ? name.slice(0, -1) : name)) lost.push(name)
  const lostFolders = [...before.folders].filter((name) => !seen.has(name))
  if (lost.length === 0 && lostFolders.length === 0) return
  // The folder that was listed is the one that was meant, not what was mounted over it, or left when it was unmounted.
  const still = options.fs.lstat(folder.disk)
  if (still?.dev !== folder.dev || still.kind !== 'folder') return
  for (const name of lost) {
    const path = below(folder.path, name)
    yield { path, node: ignoredBy(options.ignore, path) ? { kind: 'ignored' } : ABSENT }
  }
  for (const name of lostFolders) options.strays.add(options.known, below(folder.path, name))
  for (const name of lostFolders) yield* allBelow(options, below(folder.path, name), ABSENT)
}

/** Each key of a listing with its name on disk; null for a name that is not Unicode. A key has one owner; other names come under their own. */
function* names(items: ReturnType<FileSystem['list']>): Generator<[string, string | null]> {
  if (items.every(({ name }) => name !== null && isAscii(name))) {
    for (const { shown } of items) yield [shown, shown]
    return
  }
  const byKey = new Map<string, string[]>()
  const strange = new Set<string>()
  for (const { name, shown } of items) {
    if (name === null) {
      strange.add(shown)
      continue
    }
    const key = keyOf(name)
    const others = byKey.get(key)
    if (others) others.push(name)
    else byKey.set(key, [name])
  }
  for (const [key, all] of byKey) {
    const owner = all.length === 1 ? (all[0] ?? null) : ownerOfKey(all, key)
    yield [key, owner]
    for (const name of all) if (name !== owner) yield [name, name]
  }
  for (const shown of strange) if (!byKey.has(shown)) yield [shown, null]
}

function attempt<T>(look: () => T): { readonly value: T } | { readonly code: string } {
  try {
    return { value: look() }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (typeof code !== 'string') throw error
    return { code }
  }
}
