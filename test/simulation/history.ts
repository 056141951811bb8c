import type { Keep, MaxDelete } from '../../src/sync/agent.ts'
import type { Loss } from './absence.ts'
import { chanceOf, type Chance } from './chance.ts'
import { chooseHabits, deedOf, type Habits } from './deeds.ts'
import type { Deed } from './person.ts'
import type { Among } from './life.ts'

/** One thing that happens in a world, whoever does it. */
export type Action =
  | { readonly type: 'deed'; readonly device: number; readonly deed: Deed }
  /** In the instant before the `at`th effect of the sync under way, or of one that starts now. */
  | {
      readonly type: 'deed during sync'
      readonly device: number
      readonly deed: Deed
      readonly at: number
      readonly among: Among
    }
  | { readonly type: 'sync'; readonly device: number }
  /** Starts a run that follows both sides. */
  | { readonly type: 'live'; readonly device: number }
  | { readonly type: 'quit'; readonly device: number }
  | {
      readonly type: 'kill'
      readonly device: number
      readonly at: number
      readonly among: Among
      readonly done: boolean
      readonly power: boolean
      /** Until the device does something by itself. */
      readonly waits?: boolean
    }
  | {
      readonly type: 'error'
      readonly device: number
      readonly at: number
      readonly among: Among
      readonly waits?: boolean
    }
  | { readonly type: 'lose state'; readonly device: number }
  | { readonly type: 'step clock'; readonly device: number; readonly by: number }
  | { readonly type: 'fill disk'; readonly device: number; readonly room: number }
  | { readonly type: 'lose root'; readonly device: number; readonly how: Loss }
  | {
      readonly type: 'lose root during sync'
      readonly device: number
      readonly how: Loss
      readonly at: number
      readonly among: Among
    }
  | { readonly type: 'bring root back'; readonly device: number }
  | { readonly type: 'decide'; readonly device: number; readonly yes: boolean }
  | { readonly type: 'resolve'; readonly device: number; readonly keep: Keep }
  | { readonly type: 'network'; readonly rate: number }
  | { readonly type: 'kill server'; readonly at: number; readonly done: boolean; readonly power?: boolean }
  | { readonly type: 'server error'; readonly at: number }
  | { readonly type: 'fill server disk'; readonly room: number }
  | { readonly type: 'start server' }
  | { readonly type: 'back up server' }
  | { readonly type: 'restore server' }
  /** A bucket of the same name, with nothing in it. */
  | { readonly type: 'recreate bucket' }
  | { readonly type: 'run'; readonly steps: number }
  | { readonly type: 'rest'; readonly device: number }

/** A world and what happens in it, until all faults end and everybody syncs. */
export interface History {
  readonly seed: number
  readonly devices: number
  readonly caseBlind: boolean
  readonly canExchange: boolean
  readonly retries: boolean
  /** How many deletions go without a yes: any unless given. */
  readonly maxDelete?: MaxDelete | null
  /** How many rows are planned at once, and new files sent while others are looked at: enough for all unless given. */
  readonly window?: number
  /** Nothing may be left in the temporary folders even before the agents are started anew. */
  readonly tidy?: boolean
  /** What the server keeps its buckets in: memory unless given. */
  readonly backend?: 'memory' | 'local'
  /** Whether its clients ask it over connections; otherwise their calls travel whole. */
  readonly wire?: boolean
  /** Whether in the end everybody follows both sides, and so comes to the same. */
  readonly live?: boolean
  readonly actions: readonly Action[]
}

const LOSSES: readonly Loss[] = ['emptied', 'missing', 'unmarked', 'unreadable']
const YEAR = 365 * 24 * 3_600_000

export function historyOf(seed: number): History {
  const chance = chanceOf(seed ^ 0x5eed)
  const devices = chance.often(0.25) ? 3 : 2
  const alone = chance.often(0.2)
  const live = chance.often(0.25)
  const writers = alone ? 1 : devices
  const kinds = chooseKinds(chance, alone, live)
  const caseBlind = chance.often(0.15)
  const habits = chooseHabits(chance, caseBlind)
  const brake = chance.often(0.25) ? chance.pick<Brake>(['few', 'few', 'few', 'default']) : 'none'
  const actions: Action[] = chance.often(0.6) ? agreement(devices, brake) : []
  // Many short ones find more than few long ones; some are long all the same.
  const count = 4 + chance.below(chance.often(0.15) ? 37 : 13)
  for (let n = 0; n < count; n++) actions.push(actionOf(chance, { n, devices, writers, kinds, habits }))
  return {
    seed,
    devices,
    caseBlind,
    canExchange: chance.often(0.7),
    retries: chance.often(0.5),
    ...(brake === 'none' ? {} : { maxDelete: brake === 'few' ? { count: 1 } : null }),
    backend: chance.often(0.5) ? 'local' : 'memory',
    wire: chance.often(0.15),
    live,
    ...(chance.often(0.5) ? { window: 1 + chance.below(6) } : {}),
    actions,
  }
}

type Brake = 'none' | 'few' | 'default'

/** All devices hold the same files: what happens then is about something that was in sync. */
function agreement(devices: number, brake: Brake): Action[] {
  const many = brake === 'default' ? Array.from({ length: 22 }, (_, n) => `f/${n}`) : ['f/1', 'f/2']
  const writes = ['x', 'd/y', ...many].map((path): Action => ({
    type: 'deed',
    device: 0,
    deed: { type: 'write', path, text: `base of ${path}`, style: 'rename' },
  }))
  const syncs = Array.from({ length: devices }, (_, device): Action[] => [
    { type: 'sync', device },
    { type: 'rest', device },
  ])
  return [...writes, ...syncs.flat()]
}

type Kinds = readonly (readonly [kind: Action['type'], weight: number])[]

/** Not every history has every kind of fault: some laws say more without one. */
function chooseKinds(chance: Chance, alone: boolean, live: boolean): Kinds {
  const some = (rate: number, weight: number): number => (chance.often(rate) ? weight : 0)
  return [
    ['deed', 10],
    ['deed during sync', some(0.6, 4)],
    ['sync', live ? 2 : 7],
    ['live', live ? 5 : 0],
    ['quit', live ? 0.5 : 0],
    ['run', 3],
    ['rest', 3],
    ['kill', some(0.5, 2)],
    ['error', some(0.5, 3)],
    ['lose state', some(alone ? 0 : 0.15, 1)],
    ['step clock', some(0.2, 1)],
    ['fill disk', some(0.2, 1)],
    ['network', live ? some(0.8, 4) : some(0.4, 2)],
    ['kill server', some(0.4, 2)],
    ['server error', some(0.4, 2)],
    ['fill server disk', some(0.1, 0.5)],
    ['start server', 1],
    ['back up server', 0.5],
    ['restore server', some(alone ? 0 : 0.15, 1)],
    ['recreate bucket', some(alone ? 0 : 0.06, 0.5)],
    ['lose root', some(0.12, 1.5)],
    ['lose root during sync', some(0.08, 1.5)],
    ['bring root back', 0.7],
    ['decide', 0.7],
    ['resolve', 0.5],
  ]
}

/** Everything that can happen. */
export function actionTypes(): readonly Action['type'][] {
  return chooseKinds(chanceOf(0), false, true).map(([type]) => type)
}

interface Frame {
  readonly n: number
  readonly devices: number
  readonly writers: number
  readonly kinds: Kinds
  readonly habits: Habits
}

/** What an agent does, by name: each may fail, and die. */
export const CALLS =
  'lstat,list,mkdir,rmdir,unlink,rename,renameNew,exchange,link,chmod,setModified,readSmall,open,create,copy,openFolder,syncFolder,syncGroup,read,write,sync,commit,listing,missing,stage,commit to server'.split(
    ',',
  )

/** A sync makes some ten writes and a hundred looks: most traps spring, and not all at its first steps. */
function aim(chance: Chance): { readonly at: number; readonly among: Among } {
  const among = chance.often(0.3) ? 'writes' : chance.often(0.3) ? 'effects' : chance.pick(CALLS)
  if (among === 'effects') return { among, at: 1 + chance.below(chance.pick([40, 150])) }
  return { among, at: 1 + chance.below(chance.pick(among === 'writes' ? [6, 15, 30] : [1, 3, 8])) }
}

function actionOf(chance: Chance, frame: Frame): Action {
  const device = chance.below(frame.devices)
  const writer = chance.below(frame.writers)
  const type = weighted(chance, frame.kinds)
  switch (type) {
    case 'deed':
      return { type, device: writer, deed: deedOf(chance, frame) }
    case 'deed during sync':
      return { type, device: writer, deed: deedOf(chance, frame), ...aim(chance) }
    case 'kill':
      return { type, device, ...aim(chance), done: chance.often(0.5), power: chance.often(0.5) }
    case 'error':
      return { type, device, ...aim(chance) }
    case 'step clock':
      return { type, device, by: chance.pick([-YEAR, -3_600_000, -1000, 1000, 3_600_000, 5 * YEAR]) }
    case 'fill disk':
      return { type, device, room: chance.below(2000) }
    case 'network':
      return { type, rate: chance.pick([0, 0.02, 0.1, 0.3]) }
    case 'kill server':
      return { type, at: 1 + chance.below(8), done: chance.often(0.5), power: chance.often(0.5) }
    case 'server error':
      return { type, at: 1 + chance.below(8) }
    case 'fill server disk':
      return { type, room: chance.below(2000) }
    case 'lose root':
      return { type, device, how: chance.pick(LOSSES) }
    case 'lose root during sync':
      return { type, device, how: chance.pick(LOSSES), ...aim(chance) }
    case 'decide':
      return { type, device, yes: chance.often(0.5) }
    case 'resolve':
      return { type, device, keep: chance.pick(['mine', 'theirs', 'both']) }
    case 'run':
      return { type, steps: chance.below(60) }
    case 'sync':
    case 'live':
    case 'quit':
    case 'lose state':
    case 'bring root back':
    case 'rest':
      return { type, device }
    default:
      return { type }
  }
}

function weighted(chance: Chance, kinds: Kinds): Action['type'] {
  let left = chance.next() * kinds.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [kind, weight] of kinds) {
    left -= weight
    if (left < 0) return kind
  }
  return 'run'
}
