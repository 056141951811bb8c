import * as fc from 'fast-check'
import { parseConflictName } from '../../src/sync/core/conflict-name.ts'
import { openSearch, type Search } from './search.ts'
import type { Observation, Value } from './spec.ts'

/** Folders that are kept in sync, and whoever works in them. */
export interface Devices {
  readonly count: number
  readonly paths: readonly string[]
  /** What is saved for a letter: the same again, or something new each time. */
  text(letter: string): string
  read(device: number, path: string): Value
  /** Saves, or removes, and returns what was there in that very instant. */
  write(device: number, path: string, value: Value, style: Style): Value
  /** Starts a sync, and lets everybody go on for so many steps, whatever these are. */
  go(device: number, steps: number): Promise<void>
  /** Starts a sync, when the one before is done, and acts in the instant before something that it does. */
  during(device: number, moment: Moment, act: () => void): Promise<void>
  kill(device: number, how: Kill): Promise<void>
  /** From here on so many of all messages are lost, late, doubled or cut. */
  disturb(rate: number): void
  /** Resolves when all is quiet. */
  settle(): Promise<void>
  /** All files: text by path. */
  tree(device: number): Record<string, Value>
}
type Style = 'in place' | 'rename over'
/** The `at`th of all effects from now, looks too, or of those that change something. */
interface Moment {
  readonly at: number
  readonly among: 'effects' | 'writes'
}
interface Kill {
  readonly moment: Moment
  /** Whether what it does in that moment still happens. */
  readonly done: boolean
  /** What it had written down is gone. */
  readonly lost: boolean
}

/** What was seen of each path so far. */
export interface Model {
  readonly paths: ReadonlyMap<string, { readonly seen: Observation[]; readonly search: Search }>
}

export function openModel({ count, paths }: Devices): Model {
  return { paths: new Map(paths.map((path) => [path, { seen: [], search: openSearch(count) }])) }
}

function note(model: Model, path: string, observation: Observation): void {
  const known = model.paths.get(path)
  known?.seen.push(observation)
  known?.search.see(observation)
}

/** Throws if no run of the model shows what was seen. */
function check(model: Model): void {
  for (const { search } of model.paths.values()) {
    if (!search.isExplained()) throw new Error(`no run of the model explains what was seen:\n${told(model)}`)
  }
}

function told({ paths }: Model): string {
  return [...paths].flatMap(([path, { seen }]) => seen.map((each) => `${path}: ${JSON.stringify(each)}`)).join('\n')
}

/** Waits for rest, and checks that every device shows the one value and the conflict files that the model says. */
export async function stabilize(model: Model, devices: Devices): Promise<void> {
  await devices.settle()
  const trees = Array.from({ length: devices.count }, (_none, device) => devices.tree(device))
  const [first = {}] = trees
  for (const tree of trees) {
    if (JSON.stringify(sorted(tree)) === JSON.stringify(sorted(first))) continue
    throw new Error(`the folders differ at rest: ${JSON.stringify(trees)}\n${told(model)}`)
  }
  for (const path of devices.paths) {
    const siblings = Object.entries(first).filter(([name]) => parseConflictName(name)?.path === path)
    const conflicts = [...new Set(siblings.map(([, value]) => value ?? ''))]
    note(model, path, { type: 'stable', shown: trees.map((tree) => tree[path] ?? null), conflicts })
  }
  check(model)
}

function sorted(tree: Record<string, Value>): [string, Value][] {
  return Object.entries(tree).sort(([a], [b]) => (a < b ? -1 : 1))
}

type Command = fc.AsyncCommand<Model, Devices>

function command(text: string, act: (model: Model, devices: Devices) => Promise<void> | void): Command {
  return {
    check: () => true,
    run: async (model, devices) => {
      await act(model, devices)
      check(model)
    },
    toString: () => text,
  }
}

/** What somebody does with a file: a look at it, a save, a removal. */
interface Deed {
  readonly device: number
  readonly path: number
  readonly type: 'read' | 'remove' | 'save'
  readonly letter: string
  readonly style: Style
}

function act(model: Model, devices: Devices, { device, path, type, letter, style }: Deed): void {
  const name = devices.paths[path % devices.paths.length] ?? ''
  if (type === 'read') return note(model, name, { type, device, found: devices.read(device, name) })
  const value = type === 'remove' ? null : devices.text(letter)
  const found = devices.write(device, name, value, style)
  note(model, name, { type: 'write', device, value, found, inPlace: style === 'in place' })
}

function nameOf({ device, path, type, letter, style }: Deed): string {
  return type === 'save' ? `save(${device}, ${path}, ${letter}, ${style})` : `${type}(${device}, ${path})`
}

/** Enough for a whole sync, mostly. */
const LONG = 300

const anyMoment: fc.Arbitrary<Moment> = fc.oneof(
  fc.record({ at: fc.integer({ min: 1, max: 120 }), among: fc.constant('effects') }),
  fc.record({ at: fc.integer({ min: 1, max: 30 }), among: fc.constant('writes') }),
)

export interface CommandOptions {
  readonly devices: number
  readonly most: number
  /** What happens inside of an agent, and on the way to the server, can be chosen too. */
  readonly inside: boolean
}

export function anyCommands({ devices: count, most, inside }: CommandOptions): fc.Arbitrary<Iterable<Command>> {
  const device = fc.nat(count - 1)
  const deed: fc.Arbitrary<Deed> = fc.record({
    device,
    path: fc.nat(3),
    type: fc.constantFrom('save', 'save', 'save', 'remove', 'read'),
    letter: fc.constantFrom('a', 'b', 'c', 'd'),
    style: inside ? fc.constantFrom('in place', 'rename over') : fc.constant('rename over'),
  })
  const plain = deed.map((one) => command(nameOf(one), (model, devices) => act(model, devices, one)))
  const go = fc
    .record({ device, steps: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(LONG)) })
    .map(({ device: one, steps }) => command(`go(${one}, ${steps})`, (_model, devices) => devices.go(one, steps)))
  const lost = inside ? fc.boolean() : fc.constant(false)
  const kill = fc.record({ device, moment: anyMoment, done: fc.boolean(), lost }).map(({ device: one, ...how }) =>
    command(`kill(${one}, ${JSON.stringify(how)})`, async (model, devices) => {
      await devices.kill(one, how)
      for (const name of devices.paths) note(model, name, { type: 'kill', device: one, lost: how.lost })
    }),
  )
  const still = fc.constant(null).map(() => command('stabilize()', stabilize))
  const always = [plain, go, plain, go, plain, kill, still]
  if (!inside) return fc.commands(always, { maxCommands: most, size: 'max' })
  const during = fc
    .record({ deed, moment: anyMoment })
    .map(({ deed: one, moment }) =>
      command(`during(${JSON.stringify(moment)}, ${nameOf(one)})`, (model, devices) =>
        devices.during(one.device, moment, () => act(model, devices, one)),
      ),
    )
  const disturb = fc
    .constantFrom(0, 0.05, 0.2)
    .map((rate) => command(`disturb(${rate})`, (_model, devices) => devices.disturb(rate)))
  return fc.commands([...always, during, during, disturb], { maxCommands: most, size: 'max' })
}
