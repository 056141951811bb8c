import { describe, expect, test } from 'vitest'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { systemClock, systemIds } from '../../../src/platform/system.ts'
import { sha256 } from '../../../src/content/hash.ts'
import { openRoot, writeMarker } from '../../../src/sync/disk/marker.ts'
import { openDisk, type Disk, type DiskResult, type DiskWork } from '../../../src/sync/disk/transition.ts'
import { chanceOf, type Chance } from '../../simulation/chance.ts'
import { openMemoryDisk, type MemoryDisk } from '../../simulation/memory-file-system.ts'
import { faultyDisk } from './faulty-disk.ts'
import { conflict, download, file, removal } from './steps.ts'

/** What is left of writes that were not made durable: in the folder, and in the state, which may be on another disk. */
interface Loss {
  readonly folder: Chance
  readonly state: Chance
}

const NOTHING: Chance = { next: () => 0.999, below: () => 1, often: () => false, pick: first }
/** All names survive, and of bytes that were not synced only a part. */
const NAMES: Chance = { next: () => 0, below: () => 2, often: () => true, pick: first }

const LOSSES: Readonly<Record<string, (at: number) => readonly Loss[]>> = {
  'nothing that was not synced survives': () => [{ folder: NOTHING, state: NOTHING }],
  'names survive': () => [{ folder: NAMES, state: NAMES }],
  'names survive in the folder, and nothing in the state': () => [{ folder: NAMES, state: NOTHING }],
  'any part survives': (at) =>
    Array.from({ length: 10 }, (_none, n) => ({ folder: chanceOf(at * 100 + n), state: chanceOf(at * 100 + n + 50) })),
}

function first<T>(items: readonly T[]): T {
  const [item] = items
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

interface Scene {
  readonly before: Readonly<Record<string, string>>
  readonly work: () => DiskWork[]
  /** Of each path what it may hold at any time; null: nothing. */
  readonly during: Readonly<Record<string, readonly (string | null)[]>>
  readonly after: Readonly<Record<string, string | null>>
  /** What no server has, and must be found at a name or in the trash. */
  readonly precious?: readonly string[]
  /** Saved right before the first exchange. */
  readonly saved?: string
}

const SCENES: Readonly<Record<string, Scene>> = {
  'a replacement': {
    before: { doc: 'old' },
    work: () => [download('doc', 'new', file('old'))],
    during: { doc: ['old', 'new'] },
    after: { doc: 'new' },
  },
  'a new file in a new folder': {
    before: {},
    work: () => [download('x/y', 'new', null)],
    during: { 'x/y': [null, 'new'] },
    after: { 'x/y': 'new' },
  },
  'a deletion': {
    before: { doc: 'old', other: 'stays' },
    work: () => [removal('doc', file('old'))],
    during: { doc: ['old', null], other: ['stays'] },
    after: { doc: null },
    precious: ['old'],
  },
  'a conflict': {
    before: { doc: 'mine' },
    work: () => [conflict('doc', 'mine', 'theirs')],
    during: { doc: ['mine', 'theirs'] },
    after: { doc: 'theirs' },
    precious: ['mine'],
  },
  'a replacement with a save in its instant': {
    before: { doc: 'old' },
    work: () => [download('doc', 'new', file('old'))],
    during: { doc: ['old', 'saved', 'new'] },
    after: { doc: 'new' },
    saved: 'saved',
  },
}

interface Place {
  readonly disk: MemoryDisk
  /** Of both disks. */
  readonly fs: FileSystem
  powerLoss(loss: Loss): void
  open(fs: FileSystem): Disk
  /** Files without `.blobs/root.json`; the trash too. */
  files(): Map<string, string>
}

async function openPlace(scene: Scene): Promise<Place> {
  // Long ago, so that times tell writes apart.
  let time = BigInt(Date.now() - 3_600_000) * 1_000_000n
  const options = { now: () => (time += 40_000_000n), caseBlind: false, canExchange: true }
  const [disk, state] = [openMemoryDisk(options), openMemoryDisk(options)]
  const { fs } = disk
  state.durably(() => state.fs.mkdir('/state', 0o755))
  disk.durably(() => {
    fs.mkdir('/folder', 0o755)
    for (const [path, text] of Object.entries(scene.before)) disk.makeFile(`/folder/${path}`, Buffer.from(text))
  })
  const id = systemIds.next()
  const created = '2026-01-01T00:00:00Z'
  await writeMarker(fs, '/folder', { format: 1, id, location: '', bucket: 'team', prefix: '', created })
  const root = openRoot(fs, '/folder', id)
  return {
    disk,
    fs: joined(fs, state.fs),
    powerLoss: (loss) => {
      disk.powerLoss(loss.folder)
      state.powerLoss(loss.state)
    },
    open: (own) =>
      openDisk({ fs: own, root, stateDirectory: '/state', device: 'laptop', clock: systemClock, ids: systemIds }),
    files: () => {
      const all = [...disk.tree('/folder')].flatMap(([path, { bytes }]): [string, string][] =>
        bytes === null || path === '.blobs/root.json' || path === '.blobs/.gitignore'
          ? []
          : [[path, Buffer.from(bytes).toString()]],
      )
      return new Map(all)
    },
  }
}

/** One file system for the state, and another one for all else. */
function joined(folder: FileSystem, state: FileSystem): FileSystem {
  const at = (path: string): FileSystem => (path.startsWith('/state') ? state : folder)
  return {
    ...folder,
    lstat: (path) => at(path).lstat(path),
    list: (path) => at(path).list(path),
    mkdir: (path, mode) => at(path).mkdir(path, mode),
    unlink: (path) => at(path).unlink(path),
    readSmall: (path, limit) => at(path).readSmall(path, limit),
    create: (path, mode) => at(path).create(path, mode),
    syncFolder: (path) => at(path).syncFolder(path),
  }
}

/** Saves into the file right before it is exchanged for the first time. */
function saving({ disk, fs }: Place, saved: string, done: () => void): FileSystem {
  let due = true
  return {
    ...fs,
    exchange: (a, b) => {
      if (due) disk.writeInPlace('/folder/doc', Buffer.from(saved))
      if (due) done()
      due = false
      return fs.exchange(a, b)
    },
  }
}

/** True if the power went before all was done. */
async function powerGoesAt(scene: Scene, at: number, loss: Loss): Promise<boolean> {
  const place = await openPlace(scene)
  const precious = [...(scene.precious ?? [])]
  const base = scene.saved === undefined ? place.fs : saving(place, scene.saved, () => precious.push(scene.saved ?? ''))
  const faulty = faultyDisk(at, 'dies after', base, { syncs: true })
  let results: readonly DiskResult[] = []
  try {
    results = await place.open(faulty).apply(scene.work())
  } catch (error) {
    if (!/died|dead/.test(String(error))) throw error
  }
  place.powerLoss(loss)
  const server = new Set(['old', 'new', 'theirs'].map((text) => sha256(Buffer.from(text))))
  await place.open(place.fs).recover((_path, hash) => server.has(hash))
  const files = place.files()
  for (const [path, allowed] of Object.entries(scene.during)) expect(allowed, path).toContain(files.get(path) ?? null)
  for (const text of precious) expect([...files.values()], `${text} is lost`).toContain(text)
  const nameless = [...files.keys()].filter((path) => path.startsWith('recovered-') || path.startsWith('.blobs/tmp/'))
  expect(nameless).toEqual([])
  if (faulty.failed() !== null) return true
  expect(results.every(({ type }) => type === 'done')).toBe(true)
  for (const [path, text] of Object.entries(scene.after)) expect(files.get(path) ?? null, path).toBe(text)
  return false
}

describe.each(Object.entries(LOSSES))('the power goes at any call: %s', (_name, losses) => {
  test.each(Object.entries(SCENES))('%s', async (_scene, scene) => {
    const goes = async (at: number): Promise<boolean> => {
      let early = false
      for (const loss of losses(at)) early = await powerGoesAt(scene, at, loss)
      return early
    }
    let at = 0
    while (
      await goes(at).catch((error: unknown) => {
        throw new Error(`at call ${at}`, { cause: error })
      })
    )
      at++
    expect(at).toBeGreaterThan(20)
  })
})
