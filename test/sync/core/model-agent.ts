import { conflictName } from '../../../src/sync/core/conflict-name.ts'
import { clashes, compareSiblings, unfit, type Sibling } from '../../../src/sync/core/names.ts'
import { plan, type Plan } from '../../../src/sync/core/plan.ts'
import { historyAfter, needsFolder, sameContent } from '../../../src/sync/core/reconcile.ts'
import type { Base, Content, Local, Path, Remote, Row, Step } from '../../../src/sync/core/types.ts'
import type { Bucket } from './model-bucket.ts'
import { contentOf, FOLDER_CONTENT, type Disk, type File, type Scan } from './model-disk.ts'

export interface Agent {
  readonly name: string
  readonly disk: Disk
  rows(): Row[]
  plan(): Plan
  /** Does one step, after a last look; false if what it expected was gone. `recorded` false: it dies before it writes the base down. */
  act(step: Step, recorded: boolean): boolean
  /** Every step that took effect on either side, in order. */
  readonly done: Step[]
  /** What broke the law of no loss, as lines. */
  readonly losses: string[]
  /** True if a base was given up although the bucket still has the key. */
  forgot(): boolean
}

/** The session's part, in memory: builds rows, acts with a last look and conditional writes, and records what was done. */
export function createAgent(
  name: string,
  disk: Disk,
  bucket: Bucket,
  /** What both sides last agreed on: the agent's own to change. */
  bases: Map<Path, Base> = new Map(),
): Agent {
  /** What was sent to the bucket and not recorded: known again by its entry, which only the version tells here. */
  const sent = new Map<Path, Base | { readonly kind: 'deleted'; readonly version: number }>()
  let forgotten = false
  const done: Step[] = []
  const losses: string[] = []
  let epoch = bucket.epoch

  const relinkIfRestored = (): void => {
    if (epoch === bucket.epoch) return
    bases.clear()
    sent.clear()
    epoch = bucket.epoch
  }
  const see = (path: Path): Content | null => {
    const marker = path.endsWith('/')
    const node = disk.find(marker ? path.slice(0, -1) : path)
    if (marker) return node?.kind === 'folder' && node.items.size === 0 ? FOLDER_CONTENT : null
    return node?.kind === 'file' ? contentOf(node) : null
  }
  const isThere = (path: Path, expected: Content | null): boolean => {
    if (expected === null) return disk.find(bare(path)) === null
    const seen = see(path)
    return seen !== null && sameContent(seen, expected)
  }
  /** The law of no loss: bytes leave a name only when the bucket's history of that name has them, or a sibling does. */
  const giveUp = (path: Path, content: Content, sibling?: Path): void => {
    if (content.kind === 'folder' || bucket.everHeld(path, content.hash)) return
    if (sibling !== undefined && see(sibling)?.hash === content.hash) return
    losses.push(`${name}: ${content.hash} at ${path}`)
  }
  const removeLocal = (path: Path): void => {
    disk.remove(bare(path))
    disk.prune(bare(path), (folder) => {
      return !isLive(bucket.current(`${folder}/`))
    })
  }
  const place = (path: Path, content: Content): boolean => {
    if (content.kind === 'folder') return disk.mkdir(bare(path))
    return disk.write(path, { kind: 'file', bytes: bytesOf(content), executable: content.executable, mtimeNs: 0n })
  }
  const makeSibling = (path: Path, file: File): Path | null => {
    const { hash } = contentOf(file)
    for (let hashLength = 8; hashLength <= 64; hashLength++) {
      const sibling = conflictName({ path, mtimeNs: file.mtimeNs, device: name, hash, hashLength })
      const there = disk.find(sibling)
      if (there?.kind === 'file' && there.bytes === file.bytes) return sibling
      if (there === null) return disk.write(sibling, file) ? sibling : null
    }
    return null
  }
  const actions: { [T in Step['type']]: (step: Extract<Step, { type: T }>) => Base | null | false } = {
    record(step) {
      forgotten ||= step.base === null && isLive(bucket.current(step.path))
      return step.base
    },
    skip: () => false,
    upload(step) {
      if (!isThere(step.path, step.local)) return false
      const { copyOf } = step
      if (copyOf !== null && bucket.holds(copyOf.path, copyOf.version)?.hash !== step.local.hash) {
        throw new Error(`${step.path}: no such bytes at ${copyOf.path}@${copyOf.version}`)
      }
      const version = bucket.put(step.path, step.local, step.expect)
      return version === null ? false : { ...step.local, version }
    },
    'delete-remote'(step) {
      // By its spelling: on a case-blind disk the name may be there as another.
      if (localOf(step.path, disk.scan()) !== null) return false
      const now = bucket.current(step.path)
      if (isLive(now) && isExpected(step, now) && bases.get(step.path)?.hash !== now.hash) {
        losses.push(`${name}: deletes ${now.hash} at ${step.path}, which was not agreed on`)
      }
      return bucket.remove(step.path, step.expect) ? null : false
    },
    download(step) {
      const { path, remote, replaces } = step
      if (path.endsWith('/') ? disk.find(bare(path))?.kind === 'file' : !isThere(path, replaces)) return false
      if (replaces !== null && replaces.hash !== remote.hash) giveUp(path, replaces)
      return place(path, remote) ? remote : false
    },
    'delete-local'(step) {
      if (!isThere(step.path, step.replaces)) return false
      giveUp(step.path, step.replaces)
      removeLocal(step.path)
      return step.base
    },
    conflict(step) {
      const file = disk.find(step.path)
      if (file?.kind !== 'file' || !isThere(step.path, step.local)) return false
      const sibling = makeSibling(step.path, file)
      if (sibling === null) return false
      giveUp(step.path, step.local, sibling)
      if (step.remote === null) removeLocal(step.path)
      else place(step.path, step.remote)
      return step.remote
    },
  }
  const act = (step: Step, recorded: boolean): boolean => {
    const base = (actions[step.type] as (step: Step) => Base | null | false)(step)
    if (base === false) return false
    if (step.type !== 'record') done.push(step)
    if (!recorded) {
      const now = bucket.current(step.path)
      if ((step.type === 'upload' || step.type === 'delete-remote') && now !== null) sent.set(step.path, now)
      return true
    }
    if (base === null) bases.delete(step.path)
    else bases.set(step.path, base)
    return true
  }
  const rows = (): Row[] => {
    relinkIfRestored()
    for (const [path, outcome] of sent) {
      if (bucket.current(path)?.version !== outcome.version) continue
      if (outcome.kind === 'deleted') bases.delete(path)
      else bases.set(path, outcome)
    }
    sent.clear()
    return buildRows(disk, bucket, bases)
  }
  return { name, disk, rows, plan: () => plan(rows()), act, done, losses, forgot: () => forgotten }
}

function isLive(remote: Remote | null): remote is Content & { readonly version: number } {
  return remote !== null && remote.kind !== 'deleted'
}

function isExpected(step: Extract<Step, { type: 'delete-remote' }>, now: { version: number; hash: string }): boolean {
  return step.expect !== 'absent' && step.expect.version === now.version && step.expect.hash === now.hash
}

function bare(path: Path): Path {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

function bytesOf(content: Content): string {
  const bytes = content.hash.slice(0, content.size * 2).match(/../g) ?? []
  return bytes.map((byte) => String.fromCodePoint(Number.parseInt(byte, 16))).join('')
}

function buildRows(disk: Disk, bucket: Bucket, bases: ReadonlyMap<Path, Base>): Row[] {
  const scan = disk.scan()
  const paths = new Set<Path>([...bases.keys(), ...bucket.keys(), ...scan.files.keys(), ...scan.others.keys()])
  for (const folder of scan.empty) paths.add(`${folder}/`)
  const losers = clashing(paths, scan, bucket, bases, disk)
  const rows = [...paths].map((path): Row => {
    const above = prefixes(bare(path))
    const row: Row = {
      path,
      base: bases.get(path) ?? null,
      local: localOf(path, scan),
      remote: bucket.current(path),
      remoteBelow: false,
      localFolder: scan.folders.has(bare(path)),
      unfit: unfit(path, disk.traits) ?? (above.some((each) => losers.has(each)) ? 'name-clash' : null),
      localIsOldVersion: false,
    }
    const { local } = row
    const after = historyAfter(row)
    const old = after !== null && local?.kind === 'file' && bucket.everHeld(path, local.hash, after)
    return { ...row, localIsOldVersion: old }
  })
  const needed = new Set<Path>()
  for (const row of rows) {
    if (!needsFolder(row)) continue
    for (const folder of prefixes(row.path).slice(0, -1)) {
      needed.add(folder)
      needed.add(`${folder}/`)
    }
    if (row.path.endsWith('/')) needed.add(bare(row.path))
  }
  return rows.map((row) => ({ ...row, remoteBelow: needed.has(row.path) }))
}

/** `a/b/c` → a, a/b, a/b/c; of a marker the last two are the folder and the marker. */
function prefixes(path: Path): Path[] {
  const segments = bare(path).split('/')
  const found = segments.map((_segment, index) => segments.slice(0, index + 1).join('/'))
  if (path.endsWith('/')) found[found.length - 1] = path
  return found
}

function localOf(path: Path, scan: Scan): Local | null {
  for (const each of prefixes(bare(path))) {
    const reason = scan.others.get(each)
    if (reason !== undefined) return { kind: 'unknown', reason }
  }
  if (path.endsWith('/')) return scan.empty.has(bare(path)) ? FOLDER_CONTENT : null
  const file = scan.files.get(path)
  return file === undefined ? null : contentOf(file)
}

/** Names, with all that is above them, that another name keeps off this disk. */
function clashing(
  paths: Iterable<Path>,
  scan: Scan,
  bucket: Bucket,
  bases: ReadonlyMap<Path, Base>,
  disk: Disk,
): ReadonlySet<Path> {
  const siblings = new Map<Path, Map<Path, Sibling>>()
  for (const path of paths) {
    const live = isLive(bucket.current(path))
    for (const each of prefixes(bare(path))) {
      const folder = each.slice(0, Math.max(0, each.lastIndexOf('/')))
      const onDisk = scan.files.has(each) || scan.folders.has(each) || scan.others.has(each)
      if (!live && !onDisk) continue
      const group = siblings.get(folder) ?? new Map<Path, Sibling>()
      const known = bases.has(path) || (group.get(each)?.known ?? false)
      siblings.set(folder, group.set(each, { name: each.slice(each.lastIndexOf('/') + 1), onDisk, known }))
    }
  }
  const losers = new Set<Path>()
  for (const [folder, group] of siblings) {
    const sorted = [...group.values()].sort((a, b) => compareSiblings(a, b, disk.traits))
    for (const name of clashes(sorted, disk.traits)) losers.add(folder === '' ? name : `${folder}/${name}`)
  }
  return losers
}
