import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock, FileSystem } from '../../platform/ports.ts'
import type { Path } from '../core/types.ts'
import type { Ignore } from './ignore.ts'
import { lookAtFile } from './look.ts'
import { checkRoot, checkRootStands, type Root } from './marker.ts'
import { locateFolder } from './names.ts'
import type { DirtyFolder, Known, KnownTree, Observation, Observed } from './observed.ts'
import { openStrays } from './strays.ts'
import { walkFolder, type Folder, type Found, type Suspect } from './walk.ts'
import { codeOf } from './failure.ts'

export interface ScanOptions {
  readonly fs: FileSystem
  readonly root: Root
  readonly scope: 'all' | readonly DirtyFolder[]
  readonly known: KnownTree
  readonly ignore: Ignore
  readonly clock: Clock
  /** Whether the disk takes names that differ in case only for one. */
  readonly caseBlind?: boolean
  /** True for a file that is to be taken as it is although somebody has it open for writing (it waited long enough). */
  readonly takeBusy?: (path: Path) => boolean
  readonly signal?: AbortSignal
}

const BATCH = 500
const HASHES_AT_ONCE = 8
const SLICE_MS = 10

/**
 * Compares the disk with what was known and yields what differs, in batches, every path at most once. What is not yielded within the
 * scope is as it was. Throws `Refused` if the root is not the root (see `checkRoot`), before or while anything would be called absent.
 * A node `unknown` for `busy` or `changing` wants another look soon. Ends early, without an error, when the signal aborts: then nothing
 * is said of the rest.
 */
export async function* scan(options: ScanOptions): AsyncGenerator<readonly Observation[]> {
  const { fs, root, clock, signal } = options
  checkRoot(fs, root)
  const batch = collector()
  let sliceEnds = clock.elapsed() + SLICE_MS
  for (const found of walk(options)) {
    if (found) batch.add(found)
    if (batch.full()) yield await settle(options, batch.take())
    else if (clock.elapsed() >= sliceEnds) await nextTurn()
    else continue
    if (signal?.aborted) return
    sliceEnds = clock.elapsed() + SLICE_MS
  }
  const last = await settle(options, batch.take())
  if (!signal?.aborted && last.length > 0) yield last
}

function collector() {
  let found: Found[] = []
  return {
    add: (item: Found) => void found.push(item),
    full: () => found.length >= BATCH,
    take: () => {
      const all = found
      found = []
      return all
    },
  }
}

/** Everything that may differ within the scope; null where a long walk may pause. */
function* walk(options: ScanOptions): Generator<Found | null> {
  const partial = options.scope !== 'all'
  const seen = new Set<Path>()
  const told = new Set<Path>()
  const inside = { ...options, strays: openStrays() }
  const stack: Folder[] = options.scope === 'all' ? [rootFolder(options)] : dirtyFolders(options, options.scope)
  const push = (folder: Folder): void => void stack.push(folder)
  for (let folder = stack.pop(); folder; folder = stack.pop()) {
    if (partial) {
      if (seen.has(folder.path)) continue
      seen.add(folder.path)
    }
    for (const found of walkFolder(inside, folder, push)) {
      if (partial && found) {
        if (told.has(found.path)) continue
        told.add(found.path)
      }
      yield found
    }
    yield null
  }
}

function rootFolder({ root }: ScanOptions): Folder {
  return { path: '', disk: root.path, dev: root.dev, deep: true, self: null, marker: null }
}

/** Deep ones come off the stack first: what they cover is then not walked twice. */
function dirtyFolders({ fs, root, known, ignore, caseBlind }: ScanOptions, scope: readonly DirtyFolder[]): Folder[] {
  const wanted = new Map<Path, boolean>()
  for (const { path, deep } of scope) {
    if (path !== '' && ignored(ignore, path)) continue
    const place = locateFolder(fs, root.path, path, caseBlind)
    const look = place.found ? path : place.lookAt
    wanted.set(look, wanted.get(look) === true || (place.found && deep))
  }
  const folders: Folder[] = []
  for (const [path, deep] of wanted) {
    const place = locateFolder(fs, root.path, path, caseBlind)
    if (!place.found) continue
    const self = path === '' ? null : known.get(path)
    const marker = path === '' ? null : known.get(`${path}/`)
    folders.push({ path, disk: place.disk, dev: place.stat.dev, deep: deep || self !== null, self, marker })
  }
  return folders.sort((a, b) => Number(a.deep) - Number(b.deep))
}

// Rules that cannot be read are found again, and reported, where the folder that holds them is walked.
function ignored(ignore: Ignore, path: Path): boolean {
  try {
    return ignore.ignores(path, true)
  } catch (error) {
    if (codeOf(error) === null) throw error
    return false
  }
}

/** Reads the suspects, some at a time, and keeps what differs. */
async function settle(options: ScanOptions, found: readonly Found[]): Promise<readonly Observation[]> {
  const settled: (Observation | null)[] = Array.from({ length: found.length }, () => null)
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < found.length && !options.signal?.aborted; i = next++) {
      const item = found[i]
      if (item) settled[i] = 'node' in item ? item : await read(options, item)
    }
  }
  await Promise.all(Array.from({ length: HASHES_AT_ONCE }, work))
  const differs = settled.filter((item) => item !== null)
  // After the looks, so that a disk that was unmounted during them is not an empty one.
  if (differs.some(({ node }) => node.kind === 'absent')) checkRootStands(options.fs, options.root)
  return differs
}

async function read({ fs, clock, takeBusy, signal }: ScanOptions, suspect: Suspect): Promise<Observation | null> {
  const { path, known } = suspect
  const look = await lookAtFile(fs, clock, suspect.disk, { takeBusy: takeBusy?.(path) ?? false, signal })
  const node: Observed =
    look.kind === 'file' ? { ...look.content, kind: 'file', identity: look.identity, mtimeNs: look.stat.mtimeNs } : look
  return same(node, known) ? null : { path, node }
}

function same(node: Observed, known: Known | null): boolean {
  if (known === null) return node.kind === 'absent'
  if (node.kind === 'unknown') return known.kind === 'unknown' && known.reason === node.reason
  if (node.kind !== 'file' || known.kind !== 'file') return false
  return node.hash === known.hash && node.executable === known.executable && node.identity === known.identity
}
