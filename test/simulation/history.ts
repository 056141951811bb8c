import { chanceOf, type Chance } from './chance.ts'
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
    }
  | { readonly type: 'error'; readonly device: number; readonly at: number; readonly among: Among }
  | { readonly type: 'lose state'; readonly device: number }
  | { readonly type: 'step clock'; readonly device: number; readonly by: number }
  | { readonly type: 'fill disk'; readonly device: number; readonly room: number }
  | { readonly type: 'network'; readonly rate: number }
  | { readonly type: 'kill server'; readonly at: number; readonly done: boolean; readonly power?: boolean }
  | { readonly type: 'server error'; readonly at: number }
  | { readonly type: 'fill server disk'; readonly room: number }
  | { readonly type: 'start server' }
  | { readonly type: 'back up server' }
  | { readonly type: 'restore server' }
  | { readonly type: 'run'; readonly steps: number }
  | { readonly type: 'rest'; readonly device: number }

/** A world and what happens in it, until all faults end and everybody syncs. */
export interface History {
  readonly seed: number
  readonly devices: number
  readonly caseBlind: boolean
  readonly canExchange: boolean
  readonly retries: boolean
  /** What the server keeps its buckets in: memory unless given. */
  readonly backend?: 'memory' | 'local'
  /** Whether its clients ask it over connections; otherwise their calls travel whole. */
  readonly wire?: boolean
  /** Whether in the end everybody follows both sides, and so comes to the same. */
  readonly live?: boolean
  readonly actions: readonly Action[]
}

const PATHS = ['x', 'y', 'd/x', 'd/y', 'd/e/z', 'f/1', 'f/2', 'x/inner', 'd', 'f']
const FOLDERS = ['d', 'f', 'd/e', 'g']
/** Of all texts, how many are longer than what a store keeps in its database. */
const LARGE = 0.06
const YEAR = 365 * 24 * 3_600_000

export function historyOf(seed: number): History {
  const chance = chanceOf(seed ^ 0x5eed)
  const devices = chance.often(0.25) ? 3 : 2
  const alone = chance.often(0.2)
  const live = chance.often(0.25)
  const writers = alone ? 1 : devices
  const kinds = chooseKinds(chance, alone, live)
  const actions: Action[] = chance.often(0.6) ? agreement(devices) : []
  const count = 6 + chance.below(chance.often(0.2) ? 40 : 18)
  for (let n = 0; n < count; n++) actions.push(actionOf(chance, { n, devices, writers, kinds }))
  return {
    seed,
    devices,
    caseBlind: false,
    canExchange: chance.often(0.7),
    retries: chance.often(0.5),
    backend: chance.often(0.5) ? 'local' : 'memory',
    wire: chance.often(0.2),
    live,
    actions,
  }
}

/** All devices hold the same files: what happens then is about something that was in sync. */
function agreement(devices: number): Action[] {
  const writes = ['x', 'd/y', 'f/1', 'f/2'].map((path): Action => ({
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
  ]
}

interface Frame {
  readonly n: number
  readonly devices: number
  readonly writers: number
  readonly kinds: Kinds
}

function actionOf(chance: Chance, frame: Frame): Action {
  const device = chance.below(frame.devices)
  const writer = chance.below(frame.writers)
  const among = chance.often(0.6) ? 'writes' : 'effects'
  // A sync makes some ten writes and a hundred looks: most traps spring, and the first steps are not the only ones they spring at.
  const at = 1 + chance.below(chance.pick(among === 'writes' ? [6, 15, 30] : [40, 150]))
  const type = weighted(chance, frame.kinds)
  switch (type) {
    case 'deed':
      return { type, device: writer, deed: deedOf(chance, frame.n) }
    case 'deed during sync':
      return { type, device: writer, deed: deedOf(chance, frame.n), at, among }
    case 'kill':
      return { type, device, at, among, done: chance.often(0.5), power: chance.often(0.5) }
    case 'error':
      return { type, device, at, among }
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
    case 'run':
      return { type, steps: chance.below(60) }
    case 'sync':
    case 'live':
    case 'quit':
    case 'lose state':
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

function deedOf(chance: Chance, n: number): Deed {
  const path = chance.pick(PATHS)
  const kind = chance.below(20)
  if (kind < 10)
    return { type: 'write', path, text: textOf(chance, n), style: chance.pick(['in place', 'rename', 'anew']) }
  if (kind < 13) return { type: 'remove', path }
  if (kind < 16)
    return { type: 'move', path: chance.pick([...PATHS, ...FOLDERS]), to: chance.pick([...PATHS, ...FOLDERS]) }
  if (kind === 16) return { type: 'chmod', path, mode: chance.pick([0o755, 0o644, 0o444, 0o000]) }
  if (kind === 17) return { type: 'mkdir', path: chance.pick([...FOLDERS, 'd/empty']) }
  if (kind === 18)
    return chance.often(0.5) ? { type: 'swap for link', path: chance.pick(FOLDERS) } : { type: 'remove', path }
  return chance.often(0.5) ? { type: 'open', path } : { type: 'write to what is open', text: textOf(chance, n) }
}

function textOf(chance: Chance, n: number): string {
  if (chance.often(0.1)) return chance.pick(['', 'the same', 'another same'])
  const size = chance.often(LARGE) ? 60_000 + chance.below(90_000) : chance.below(40)
  return `text ${n} ${chance.below(1e6)} ${'.'.repeat(size)}`
}
