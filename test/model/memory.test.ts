import * as fc from 'fast-check'
import { test } from 'vitest'
import type { SyncSummary } from '../../src/sync/agent.ts'
import { openCoverage } from '../simulation/coverage.ts'
import { ROOT } from '../simulation/person.ts'
import { openWorld, type World } from '../simulation/world.ts'
import { anyCommands, openModel, stabilize, type Devices } from './commands.ts'
import type { Value } from './spec.ts'

/** Another seed, or more: `MODEL_SEED=7 MODEL_RUNS=1000`. A failure prints the seed and the least commands. */
const SEED = Number(process.env['MODEL_SEED'] ?? 1)
const RUNS = Number(process.env['MODEL_RUNS'] ?? 40)
const MOST_TURNS = 12

/** A disk on which a name is never empty while its file is replaced: the model has no such moment. */
const QUIET = {
  coverage: openCoverage(),
  caseBlind: false,
  canExchange: true,
  retries: true,
  maxDelete: { percent: 100 },
}

/** The real agents and the real store, on disks in memory and a network in memory, in an order that the seed gives. */
function openDevices(world: World, paths: readonly string[]): Devices {
  const at = (device: number): World['devices'][number] => {
    const found = world.devices[device]
    if (found === undefined) throw new Error(`there is no device ${device}`)
    return found
  }
  const read = (device: number, path: string): Value => {
    const bytes = at(device).disk.tree(ROOT).get(path)?.bytes ?? null
    return bytes === null ? null : Buffer.from(bytes).toString()
  }
  return {
    count: world.devices.length,
    paths,
    // Few, so that they come back.
    text: (letter) => letter,
    read,
    write: (device, path, value, style) => {
      const found = read(device, path)
      const { person } = at(device)
      if (value === null) person.do({ type: 'remove', path })
      else person.do({ type: 'write', path, text: value, style: style === 'in place' ? style : 'rename' })
      return found
    },
    go: async (device, steps) => {
      at(device).begin()
      await world.scheduler.run(steps)
    },
    during: async (device, moment, act) => {
      await at(device).rest()
      at(device).begin()
      at(device).process()?.arm(moment.at, moment.among, { type: 'act', act })
    },
    kill: async (device, { moment, done, lost }) => {
      await at(device).rest()
      at(device).begin()
      at(device).process()?.arm(moment.at, moment.among, { type: 'kill', done, power: false })
      await at(device).rest()
      await at(device).die(false)
      if (lost) await at(device).loseState()
    },
    disturb: world.setNetwork,
    settle: () => settle(world),
    tree: (device) => Object.fromEntries([...at(device).tree()].filter(([path]) => !path.endsWith('/'))),
  }
}

/** All faults end; then everybody syncs by turns until nobody has anything to do. */
async function settle(world: World): Promise<void> {
  world.setNetwork(0)
  for (const device of world.devices) {
    for (const trap of device.process()?.disarm() ?? []) if (trap.type === 'act') trap.act()
    await device.rest()
  }
  await world.calm()
  await world.scheduler.finish(world.scheduler.sleep(5000))
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    let changes = 0
    for (const device of world.devices) changes += changed(await device.sync())
    if (changes === 0) return
  }
  throw new Error('the devices do not come to rest')
}

function changed(summary: SyncSummary): number {
  const { uploaded, downloaded, deletedLocal, deletedRemote, renamed, modes, conflicts, resurrected } = summary
  return uploaded + downloaded + deletedLocal + deletedRemote + renamed + modes + conflicts + resurrected
}

test.each([
  ['one file, two devices', 2, 24, ['f']],
  ['one file, three devices', 3, 12, ['f']],
  ['three files in two folders, two devices', 2, 30, ['f', 'g.txt', 'd/f']],
] as const)(
  'agents behave as the model does, whatever happens in between: %s',
  { timeout: 600_000 },
  async (_name, count, most, paths) => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), anyCommands({ devices: count, most, inside: true }), async (seed, commands) => {
        const world = await openWorld({ ...QUIET, seed, devices: count })
        try {
          const real = openDevices(world, paths)
          const model = openModel(real)
          await fc.asyncModelRun(() => ({ model, real }), commands)
          await stabilize(model, real)
        } finally {
          world.close()
        }
      }),
      { numRuns: RUNS, seed: SEED },
    )
  },
)
