import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect } from 'vitest'
import { systemClock } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import type { TransportOptions } from '../../src/store/http/transport.ts'
import type { SyncSummary } from '../../src/sync/agent.ts'
import { openMachine, type Machine, type Result } from '../commands/blobs.ts'
import { hastyClock, openWorld, type Folder } from '../sync/world.ts'
import { openLiar, type Liar } from './liar.ts'

/** Cases that take seconds and are like others run only when the fuzzing is asked for more, too. */
export const LONG = process.env['BLOBS_FUZZ_RUNS'] !== undefined

/** A server that lies to real agents, to `blobs get -r` and to the client of the wire. The disk around the folder is watched. */
export interface Scene {
  readonly liar: Liar
  /** The client of the lying server's bucket `team`. */
  store(options?: Partial<TransportOptions>): Promise<BlobStore>
  /** An agent's folder with links that lead out of it to files that nobody may touch; `patient`: with true waits. */
  victim(pace?: 'hasty' | 'patient', options?: Partial<TransportOptions>): Promise<Victim>
  machine(): Machine
  /** `blobs get -r` of everything, into a folder with such links. */
  get(): Promise<Got>
  /** Is done, latest first, when the test is over. */
  after(end: () => Promise<unknown>): void
}
export interface Victim {
  readonly folder: Folder
  readonly store: BlobStore
  sync(): Promise<SyncSummary>
  /** Throws if anything outside the folder and what the agent keeps for itself is not as it was. */
  checkOutside(): void
}
interface Got {
  readonly to: string
  readonly result: Result
  /** Throws if anything outside `to` is not as it was. */
  checkOutside(): void
}

/** A new scene for each test of the file. */
export function useScene(): Scene {
  const endings: (() => Promise<unknown>)[] = []
  let current: Liar | undefined
  beforeEach(async () => {
    const liar = (current = await openLiar())
    endings.push(async () => liar[Symbol.asyncDispose]())
  })
  afterEach(async () => {
    for (const end of endings.splice(0).toReversed()) await end()
  })
  const liarNow = (): Liar => {
    if (current === undefined) throw new Error('no test has begun')
    return current
  }
  const scene: Scene = {
    get liar() {
      return liarNow()
    },
    after: (end) => void endings.push(end),
    store: async (options = {}) => {
      const buckets = await openHttpBuckets({ origin: liarNow().origin, token: 'secret', ...options })
      endings.push(() => buckets.close())
      return buckets.open('team')
    },
    victim: (pace = 'hasty', options = {}) => openVictim(scene, pace, options),
    machine: () => {
      const machine = openMachine()
      endings.push(() => machine.dispose())
      return machine
    },
    get: () => getInto(scene),
  }
  return scene
}

async function openVictim(
  scene: Scene,
  pace: 'hasty' | 'patient',
  options: Partial<TransportOptions>,
): Promise<Victim> {
  const world = await openWorld(pace === 'hasty' ? hastyClock : systemClock)
  scene.after(() => world.close())
  const folder = await world.folder('a')
  trap(folder.root, join(world.directory, 'outside'))
  const own = [folder.root, folder.state, join(world.directory, 'run')]
  const before = census(world.directory, own)
  const store = await scene.store(options)
  return {
    folder,
    store,
    sync: () => folder.sync({ wrap: () => store }),
    checkOutside: () => expect(census(world.directory, own)).toEqual(before),
  }
}

async function getInto(scene: Scene): Promise<Got> {
  const machine = scene.machine()
  const to = machine.path('to', 'team')
  mkdirSync(to, { recursive: true })
  trap(to, machine.path('outside'))
  const own = [to, join(machine.home, 'cache')]
  const before = census(machine.home, own)
  const env = { BLOBS_TOKEN: 'secret' }
  const result = await machine.blobs(['get', '-r', `${scene.liar.origin}/team/`, 'to'], { env })
  return { to, result, checkOutside: () => expect(census(machine.home, own)).toEqual(before) }
}

/** Links in a folder to one outside of it, and to a file there. */
function trap(folder: string, outside: string): void {
  mkdirSync(join(outside, 'inner'), { recursive: true })
  for (const name of ['canary', 'inner/canary']) writeFileSync(join(outside, name), 'untouched')
  symlinkSync(outside, join(folder, 'link'))
  symlinkSync(join(outside, 'canary'), join(folder, 'file-link'))
}

/** Everything below a folder, as text: what it is, where it leads, what is in it. */
function census(folder: string, leave: readonly string[] = []): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (leave.includes(path)) return []
    if (entry.isDirectory()) return [`${path}/`, ...census(path, leave)]
    const stat = lstatSync(path)
    const what = entry.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, 'utf8')
    return [`${path} ${stat.mode} ${stat.mtimeMs} ${what}`]
  })
}
