import * as fc from 'fast-check'
import { clashKey, unfit } from '../../../src/sync/core/names.ts'
import type { Path, Step } from '../../../src/sync/core/types.ts'
import { createAgent, type Agent } from './model-agent.ts'
import { createBucket, type Bucket } from './model-bucket.ts'
import { contentOf, createDisk, FOLDER_CONTENT, type Disk } from './model-disk.ts'
import { hashOf } from './rows.ts'

/** Two synced folders, the second on a disk that may be case-blind, and a bucket that others write to as well. */
export interface World {
  readonly bucket: Bucket
  readonly agents: readonly Agent[]
}

export function createWorld(options: { readonly caseBlind: boolean; readonly agents?: number }): World {
  const bucket = createBucket()
  const agents = ['left', 'right'].slice(0, options.agents ?? 2).map((name, index) => {
    const disk = createDisk({ caseBlind: options.caseBlind && index === 1, windows: false })
    return createAgent(name, disk, bucket)
  })
  return { bucket, agents }
}

/** What someone does to one side. */
export type Edit =
  | { readonly type: 'write'; readonly path: Path; readonly bytes: string; readonly executable: boolean }
  | { readonly type: 'remove' | 'mkdir' | 'chmod' | 'touch' | 'link'; readonly path: Path }
  | { readonly type: 'rename'; readonly path: Path; readonly to: Path }

const NAMES = ['a', 'A', 'b', 'c', '\u00e9', 'e\u0301']
const bytes = fc.constantFrom('p', 'q', 'r', 'pppp1', 'pppp2')

function pathOf(name: fc.Arbitrary<string>, depth = 3): fc.Arbitrary<Path> {
  return fc.array(name, { minLength: 1, maxLength: depth }).map((names) => names.join('/'))
}
const path = pathOf(fc.constantFrom(...NAMES))

/** Edits of paths made of so many of these names at most. */
export function editOf(name: fc.Arbitrary<string>, depth = 3): fc.Arbitrary<Edit> {
  const path = pathOf(name, depth)
  return fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant('write' as const), path, bytes, executable: fc.boolean() }) },
    {
      weight: 4,
      arbitrary: fc.record({ type: fc.constantFrom('remove' as const, 'mkdir', 'chmod', 'touch'), path }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant('rename' as const), path, to: path }) },
  )
}
export const edit = editOf(fc.constantFrom(...NAMES))
export const link: fc.Arbitrary<Edit> = fc.record({ type: fc.constant('link' as const), path })

/** A person at a disk: what is in the way of a name is removed first. */
export function editDisk(disk: Disk, change: Edit, now: bigint): void {
  const there = disk.find(change.path)
  switch (change.type) {
    case 'write':
      clear(disk, change.path)
      disk.write(change.path, { kind: 'file', bytes: change.bytes, executable: change.executable, mtimeNs: now })
      break
    case 'link':
      clear(disk, change.path)
      disk.write(change.path, { kind: 'other', reason: 'symlink' })
      break
    case 'mkdir':
      clear(disk, `${change.path}/x`)
      disk.mkdir(change.path)
      break
    case 'remove':
      disk.remove(change.path)
      break
    case 'chmod':
      if (there?.kind === 'file') disk.write(change.path, { ...there, executable: !there.executable })
      break
    case 'touch':
      if (there?.kind === 'file') disk.write(change.path, { ...there, mtimeNs: now })
      break
    case 'rename':
      rename(disk, change.path, change.to)
      break
  }
}

function clear(disk: Disk, path: Path): void {
  const segments = path.split('/')
  for (let depth = 1; depth < segments.length; depth++) {
    const above = segments.slice(0, depth).join('/')
    const node = disk.find(above)
    if (node !== null && node.kind !== 'folder') disk.remove(above)
  }
  if (disk.find(path)?.kind === 'folder') disk.remove(path)
}

/** Moves a file or a whole folder; one spelling of a name to another too. */
function rename(disk: Disk, from: Path, to: Path): void {
  const moved = [...disk.scan().files].filter(([path]) => path === from || path.startsWith(`${from}/`))
  if (from === to || to.startsWith(`${from}/`) || from.startsWith(`${to}/`) || moved.length === 0) return
  disk.remove(from)
  for (const [path, file] of moved) {
    const target = to + path.slice(from.length)
    clear(disk, target)
    disk.write(target, file)
  }
}

/** Another writer, who knows no folders: `a` and `a/b` may be there together. */
export function editBucket(bucket: Bucket, change: Edit): void {
  const key = change.path.normalize('NFC')
  const now = bucket.current(key)
  const live = now !== null && now.kind !== 'deleted' ? now : null
  switch (change.type) {
    case 'write': {
      const { bytes, executable } = change
      bucket.put(key, { kind: 'file', hash: hashOf(bytes), size: bytes.length, executable }, 'any')
      break
    }
    case 'mkdir':
      bucket.put(`${key}/`, FOLDER_CONTENT, 'any')
      break
    case 'remove':
      bucket.remove(key, 'any')
      bucket.remove(`${key}/`, 'any')
      break
    case 'chmod':
      if (live !== null) bucket.put(key, { ...live, executable: !live.executable }, 'any')
      break
    case 'touch':
      if (live !== null) bucket.put(key, live, 'any')
      break
    case 'rename':
      if (live === null || change.to.normalize('NFC') === key) break
      bucket.put(change.to.normalize('NFC'), live, 'any')
      bucket.remove(key, 'any')
      break
    case 'link':
      break
  }
}

/** Numbers from 0 to `limit` - 1, the same for the same seed. */
export function dice(seed: number): (limit: number) => number {
  let state = seed >>> 0
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit
  }
}

export function actionable(agent: Agent): Step[] {
  const { records, conflicts, localDeletes, downloads, uploads, remoteDeletes } = agent.plan()
  return [...records, ...conflicts, ...localDeletes, ...downloads, ...uploads, ...remoteDeletes]
}

export function shuffled<T>(items: readonly T[], roll: (limit: number) => number): T[] {
  const copy = [...items]
  for (let i = copy.length - 1; i > 0; i--) {
    const j = roll(i + 1)
    const [a, b] = [copy[i] as T, copy[j] as T]
    copy[i] = b
    copy[j] = a
  }
  return copy
}

/** Rounds until no agent has anything to do: each does its plan in a random order. Throws at the hard stop. */
export function settle(world: World, roll: (limit: number) => number): number {
  for (let round = 1; round <= 200; round++) {
    let busy = false
    for (const agent of world.agents) {
      const steps = actionable(agent)
      busy ||= steps.length > 0
      for (const step of shuffled(steps, roll)) agent.act(step, true)
    }
    if (!busy) return round - 1
  }
  throw new Error(`no fixed point after 200 rounds: ${JSON.stringify(world.agents.map(actionable))}`)
}

/** Everything the paths of this world are called anywhere. */
export function countPaths(world: World): number {
  const paths = new Set(world.bucket.keys())
  for (const { disk } of world.agents) for (const file of disk.scan().files.keys()) paths.add(file)
  return Math.max(1, paths.size)
}

/** What differs between a folder and the bucket without being listed, as lines; none: converged. */
export function unexplained(world: World, agent: Agent): string[] {
  const listed = new Set(agent.plan().skips.map((step) => step.path))
  const { files, folders, empty } = agent.disk.scan()
  const found: string[] = []
  for (const key of world.bucket.keys()) {
    const remote = world.bucket.current(key)
    if (remote === null || remote.kind === 'deleted' || listed.has(key)) continue
    const file = files.get(key)
    const same = key.endsWith('/')
      ? folders.has(key.slice(0, -1))
      : file !== undefined && contentOf(file).hash === remote.hash && file.executable === remote.executable
    if (!same) found.push(`${agent.name} lacks ${key}`)
  }
  const isLive = (key: Path): boolean => (world.bucket.current(key)?.kind ?? 'deleted') !== 'deleted'
  for (const path of files.keys()) if (!listed.has(path) && !isLive(path)) found.push(`the bucket lacks ${path}`)
  const keys = world.bucket.keys().filter(isLive)
  for (const path of empty) {
    const explained = listed.has(`${path}/`) || keys.some((key) => key.startsWith(`${path}/`))
    if (!explained) found.push(`the bucket lacks ${path}/`)
  }
  return found
}

/** Paths that are listed without a cause, as lines. */
export function unfounded(world: World, agent: Agent): string[] {
  const keys = world.bucket.keys().filter((key) => (world.bucket.current(key)?.kind ?? 'deleted') !== 'deleted')
  const { files, folders, others } = agent.disk.scan()
  const names = [...keys, ...files.keys(), ...folders, ...others.keys()].flatMap((each) => above(each))
  return agent
    .plan()
    .skips.filter(({ path, reason }) => {
      if (reason === 'file-and-folder') return !keys.some((key) => key.startsWith(`${path}/`)) && !folders.has(path)
      if (reason === 'name-reserved') return unfit(path, agent.disk.traits) !== reason
      if (reason === 'symlink') return !above(path).some((each) => others.has(each))
      const twin = (each: Path): boolean =>
        names.some((name) => name !== each && clashKey(name, agent.disk.traits) === clashKey(each, agent.disk.traits))
      return !above(path).some(twin)
    })
    .map(({ path, reason }) => `${agent.name}: ${path} ${reason}`)
}

function above(path: Path): Path[] {
  const segments = path.split('/').filter((segment) => segment !== '')
  return segments.map((_segment, index) => segments.slice(0, index + 1).join('/'))
}
