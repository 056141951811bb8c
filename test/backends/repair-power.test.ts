import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { openRepair } from '../../src/backends/local/repair.ts'
import { sha256 } from '../../src/content/hash.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { StoreDisk } from '../../src/platform/store-disk.ts'
import type { Backend } from '../../src/store/ports.ts'
import { chanceOf, type Chance } from '../simulation/chance.ts'
import { Killed, stamp, type Life } from '../simulation/life.ts'
import { openScheduler, type Scheduler } from '../simulation/scheduler.ts'
import { DATA, openServerDisk, type ServerDisk } from '../simulation/server-disk.ts'
import { allButOne, chunk, livesOn, onlyOne, worst } from './power-cut.ts'

/** The power goes at any step of a repair: the store is what it was, damaged as it was, or the repaired one; and nothing of either is lost. */

/** Two large chunks fit into a pack. */
const PACK_BYTES = 150_000
const [FIRST, SPOILT, THIRD] = [chunk(1, 100_000), chunk(2, 100_000), chunk(3, 100_000)] as const
const SMALL = [chunk(4, 100), chunk(5, 100)]
const LOG = ['0', '1', 'lost'].map((name) => name.padEnd(32, '0'))
const MENDED = ['0', '1', 'mended'].map((name) => name.padEnd(32, '0'))
const STAYS = [FIRST, THIRD, ...SMALL].map(({ hash }) => hash)
const SPOILT_PACK = 'packs/000001.pack'

interface Site {
  readonly scheduler: Scheduler
  readonly disk: ServerDisk
  /** The database, as it is damaged. */
  readonly old: Uint8Array
  readonly oldPack: Uint8Array
}

/** A store with an altered row, a spoilt chunk in a pack, and a log whose last entry, acknowledged, is lost. */
async function damagedStore(): Promise<Site> {
  const scheduler = openScheduler(chanceOf(1))
  const server = openServerDisk(() => stamp(scheduler, 0), { forgetful: true })
  const life = livesOn(scheduler)
  const disk = server.of(life)
  await scheduler.finish(
    (async () => {
      const backend = await openLocal({ directory: DATA, clock: life.clock, disk, packBytes: PACK_BYTES })
      await fill(backend)
      await backend.close()
      const db = disk.openDatabase(`${DATA}/store.db`, { synchronous: 'full' })
      db.run('UPDATE packs SET sum = sum + 1 WHERE id = 1')
      db.run('UPDATE log SET sum = sum + 1 WHERE position = 3')
      db.close()
      const pack = await disk.open(`${DATA}/${SPOILT_PACK}`, 'write')
      await pack?.write([Buffer.from('spoilt')], 150_000)
      await pack?.sync()
      for (const name of ['store.db-wal', 'views/old.db']) disk.makeText(`${DATA}/${name}`, 'of the old store')
      const heads = disk.names(`${DATA}/heads`).map((name) => `heads/${name}`)
      for (const name of ['', 'store.db-wal', 'views/old.db', 'views', ...heads, 'heads']) disk.sync(`${DATA}/${name}`)
    })(),
  )
  life.kill()
  server.cut(false, worst())
  return { scheduler, disk: server, old: databaseAt(server, 'store.db'), oldPack: bytesAt(server, SPOILT_PACK) }
}

async function fill(backend: Backend): Promise<void> {
  await backend.create('team')
  const ports = await backend.open('team')
  await ports?.content.put([FIRST, ...SMALL])
  await ports?.content.put([SPOILT])
  await ports?.content.put([THIRD])
  for (const id of LOG) await ports?.log.append([{ id, data: Buffer.from(`entry ${id}`) }])
}

function databaseAt(disk: ServerDisk, path: string): Uint8Array {
  return disk.copy().files.find((file) => file.path === path)?.image ?? Buffer.from('')
}

function bytesAt(disk: ServerDisk, path: string): Uint8Array {
  return disk.copy().files.find((file) => file.path === path)?.bytes ?? Buffer.from('')
}

async function repair({ clock }: Life, disk: StoreDisk): Promise<void> {
  const work = await openRepair({ directory: DATA, clock, nameOf: () => 'team', pace: async () => undefined, disk })
  for (const name of await work.backend.names()) {
    const entries = work.gaps(name).map((position) => ({
      position,
      id: MENDED[position - 1] ?? '',
      data: Buffer.from('stands for what is lost'),
    }))
    work.putEntries(name, entries)
  }
  await work.commit()
}

type Found = 'as it was' | 'repaired'

async function open({ scheduler, disk }: Site): Promise<Found> {
  const life = livesOn(scheduler)
  try {
    const look = async (): Promise<readonly string[]> => missing(await openThoroughly(life, disk.of(life)))
    expect(await scheduler.finish(look())).toEqual([])
    return 'repaired'
  } catch (error) {
    if (!isBlobsError(error, 'Corrupt')) throw error
    return 'as it was'
  } finally {
    life.kill()
    disk.cut(false, worst())
  }
}

function openThoroughly({ clock }: Life, disk: StoreDisk): Promise<Backend> {
  return openLocal({ directory: DATA, clock, disk, trust: 'thorough' })
}

async function missing(backend: Backend): Promise<readonly string[]> {
  const ports = await backend.open('team')
  if (ports === null) return ['the bucket']
  const bytes = await ports.content.get(STAYS)
  const chunks = STAYS.filter((hash, index) => sha256(bytes[index] ?? Buffer.from('')) !== hash)
  const found: string[] = []
  for await (const batch of ports.log.read({ after: 0 })) found.push(...batch.map(({ id }) => id))
  return [...chunks, ...MENDED.filter((id, index) => found[index] !== id)]
}

/** Where the files of the old store are: at their places, or all put aside. */
function checkOldFiles({ disk, old, oldPack }: Site, found: Found): void {
  const { files, folders } = disk.copy()
  const aside = folders.find((path) => /^damaged-[^/]*$/.test(path))
  const home = found === 'repaired' ? `${aside}/` : ''
  const at = (path: string): { readonly bytes: Uint8Array; readonly image: Uint8Array | null } | undefined =>
    files.find((file) => file.path === path)
  expect(Buffer.compare(at(`${home}store.db`)?.image ?? Buffer.from(''), old), 'the old database').toBe(0)
  expect(Buffer.compare(at(home + SPOILT_PACK)?.bytes ?? Buffer.from(''), oldPack), 'the spoilt pack').toBe(0)
  expect(Buffer.from(at(`${home}store.db-wal`)?.bytes ?? []).toString(), 'the old WAL').toBe('of the old store')
  const kept = files.filter(({ path }) => /^(heads|views)\//.test(path)).length
  expect(kept > 0, 'heads and views of the old store').toBe(found === 'as it was')
  if (found === 'repaired') expect(at('store.db-wal'), 'the old WAL beside the new database').toBeUndefined()
}

interface Cut {
  /** How many changes the power took. */
  readonly lost: number
  /** How often the repair had written by then. */
  readonly writes: number
  /** The repair was done before. */
  readonly late: boolean
}

async function powerGoesAt(at: number, chance: Chance): Promise<Cut> {
  const site = await damagedStore()
  const { scheduler, disk } = site
  const life = livesOn(scheduler)
  life.arm(at, 'effects', { type: 'kill', done: true, power: true })
  const all = repair(life, disk.of(life))
  all.catch(() => undefined)
  const ended = Promise.race([all, life.death]).catch((error: unknown) => {
    if (!(error instanceof Killed)) throw error
  })
  await scheduler.finish(ended)
  const finished = life.alive()
  life.kill(true)
  const lost = disk.cut(true, chance)
  const found = await open(site)
  checkOldFiles(site, found)
  if (finished) expect(found).toBe('repaired')
  else if (found === 'as it was') {
    const second = livesOn(scheduler)
    await scheduler.finish(repair(second, disk.of(second)))
    second.kill()
    disk.cut(true, worst())
    expect(await open(site)).toBe('repaired')
    checkOldFiles(site, 'repaired')
  }
  return { lost, writes: life.writes().length, late: finished }
}

async function powerGoes(at: number, name: string, chance: Chance): Promise<Cut> {
  return powerGoesAt(at, chance).catch((error: unknown) => {
    throw new Error(`the power goes after effect ${at} of the repair, ${name}`, { cause: error })
  })
}

test('the power goes after any effect of a repair: the store is as it was, or the repaired one', async () => {
  let at = 0
  let writes = 0
  for (let late = false; !late;) {
    const cut = await powerGoes(++at, 'and takes all that was not synced', worst())
    for (let index = 0; cut.writes > writes && index < cut.lost; index++) {
      await powerGoes(at, `and leaves change ${index} from the end`, onlyOne(index))
      await powerGoes(at, `and takes change ${index} from the end`, allButOne(index))
    }
    writes = cut.writes
    late = cut.late
  }
  expect(at).toBeGreaterThan(40)
}, 120_000)

test('before the new database gets its name, and before the plan goes, every folder that gave or took one is synced', async () => {
  const { scheduler, disk } = await damagedStore()
  const life = livesOn(scheduler)
  const real = disk.of(life)
  const unsynced = new Set<string>()
  const told: string[] = []
  const changes = (...paths: readonly string[]): void => {
    for (const path of paths) if (dirname(path).startsWith(DATA)) unsynced.add(dirname(path))
  }
  const watched: StoreDisk = {
    ...real,
    create: (path) => (changes(path), real.create(path)),
    makeText: (path, text) => (changes(path), real.makeText(path, text)),
    makeFolder: (path) => {
      for (let made = path; real.size(made) === null; made = dirname(made)) changes(made)
      real.makeFolder(path)
    },
    remove: (path) => {
      if (path.endsWith('/plan.json')) told.push(`plan.json goes: ${[...unsynced].join(' ')}`)
      changes(path)
      real.remove(path)
    },
    rename: (from, to) => {
      if (to === `${DATA}/store.db`) told.push(`store.db comes: ${[...unsynced].join(' ')}`)
      changes(from, to)
      real.rename(from, to)
    },
    sync: (path) => {
      unsynced.delete(path)
      real.sync(path)
    },
  }
  await scheduler.finish(repair(life, watched))
  expect(told).toEqual(['store.db comes: ', 'plan.json goes: '])
})
