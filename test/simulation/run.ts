import { sha256 } from '../../src/content/hash.ts'
import type { SyncSummary } from '../../src/sync/agent.ts'
import { openCoverage, type Coverage } from './coverage.ts'
import type { Action, History } from './history.ts'
import { checkHonesty, checkLaws, checkTidiness, findPlaces, isFindable, Violation } from './laws.ts'
import { ROOT } from './person.ts'
import type { Among, Trap } from './life.ts'
import { openWorld, type Device, type World } from './world.ts'

const MOST_TURNS = 12

/** Lives through a history and checks every law at its end. Gives a digest of the whole world; throws a `Violation`. */
export async function runHistory(history: History, coverage: Coverage): Promise<string> {
  const world = await openWorld({ ...history, coverage, maxDelete: { percent: 100 } })
  try {
    return await liveThrough(world, history, coverage)
  } finally {
    world.close()
  }
}

async function liveThrough(world: World, history: History, coverage: Coverage): Promise<string> {
  const past = { restored: false, lostState: false }
  for (const action of history.actions) {
    coverage.count(`action: ${action.type}`)
    const device = 'device' in action ? world.devices[action.device] : undefined
    if (device) await happen(device, action, past)
    else await befall(world, action, past)
    if (device && action.type === 'rest') checkHonesty(device.name, device.disk, world.accounts)
  }
  await calmDown(world)
  if (history.live === true) await follow(world)
  else await quitAll(world)
  await settle(world)
  await checkLaws(world, past)
  for (const device of world.devices) await device.die(false)
  await settle(world)
  checkTidiness(world)
  return digestOf(world)
}

interface Past {
  restored: boolean
  lostState: boolean
}

async function happen(device: Device, action: Action, past: Past): Promise<void> {
  switch (action.type) {
    case 'deed':
      return device.person.do(action.deed)
    case 'deed during sync': {
      const { deed } = action
      return during(device, action, { type: 'act', act: () => device.person.do(deed) })
    }
    case 'kill':
      return during(device, action, { type: 'kill', done: action.done, power: action.power })
    case 'error':
      return during(device, action, { type: 'error' })
    case 'sync':
      return device.begin()
    case 'live':
      return device.live()
    case 'quit':
      return device.quit()
    case 'rest':
      return device.rest()
    case 'lose state':
      past.lostState = true
      return device.loseState()
    case 'step clock':
      return device.stepClock(action.by)
    case 'fill disk':
      return device.disk.setRoom(action.room)
    default:
  }
}

function during(device: Device, { at, among }: { readonly at: number; readonly among: Among }, trap: Trap): void {
  device.begin()
  device.process()?.arm(at, among, trap)
}

async function befall(world: World, action: Action, past: Past): Promise<void> {
  switch (action.type) {
    case 'network':
      return world.setNetwork(action.rate)
    case 'kill server':
      return world.server.arm(action.at, { type: 'kill', done: action.done, power: action.power ?? false })
    case 'server error':
      return world.server.arm(action.at, { type: 'error' })
    case 'fill server disk':
      return world.server.setRoom(action.room)
    case 'start server':
      return world.scheduler.finish(world.server.start())
    case 'back up server':
      return world.server.backup()
    case 'restore server':
      if (!(await world.scheduler.finish(world.server.restore()))) return
      past.restored = true
      return forgetWhatTheServerLost(world)
    case 'run':
      return world.scheduler.run(action.steps)
    default:
  }
}

/** Whoever restores an old copy gives up what only the server had. */
async function forgetWhatTheServerLost(world: World): Promise<void> {
  const places = await findPlaces(world)
  world.accounts.keepOnly((saved) => isFindable(places, saved))
}

/** All faults end; what was to happen during a sync happens now. */
async function calmDown(world: World): Promise<void> {
  world.setNetwork(0)
  world.server.calm()
  await world.scheduler.finish(world.server.start())
  for (const device of world.devices) {
    device.disk.setRoom(Number.POSITIVE_INFINITY)
    for (const trap of device.process()?.disarm() ?? []) if (trap.type === 'act') trap.act()
    await device.rest()
    device.person.tidy()
  }
  await world.calm()
  await world.scheduler.finish(world.scheduler.sleep(5000))
}

async function quitAll({ devices }: World): Promise<void> {
  for (const device of devices) await device.quit()
}

/** Longer than it takes to look at everything once more, whatever was not told of. */
const LONG = 8 * 60_000

/** Everybody follows both sides until they are the same. */
async function follow(world: World): Promise<void> {
  const { devices, scheduler } = world
  for (const device of devices) device.live()
  await scheduler.finish(scheduler.sleep(LONG))
  await quitAll(world)
  for (const device of devices) {
    const summary = await device.sync()
    if (changesOf(summary) === 0) continue
    throw new Violation(
      'I2',
      `${device.name} followed both sides in vain: a sync still finds ${JSON.stringify(summary)}`,
    )
  }
}

/** Everybody syncs by turns until nobody has anything to do, which is when a turn writes nothing at all. */
async function settle(world: World): Promise<void> {
  let quiet = false
  let last = ''
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    let changes = 0
    const writes: string[] = []
    for (const device of world.devices) {
      const before = device.process()?.writes().length ?? 0
      const summary = await device.sync().catch((error: unknown) => {
        throw new Violation('I3', `without faults, the sync of ${device.name} ends with ${describe(error)}`)
      })
      changes += changesOf(summary)
      writes.push(...(device.process()?.writes().slice(before) ?? []))
      last = `${device.name} ${JSON.stringify(summary)}`
    }
    if (changes === 0 && writes.length === 0) return
    if (changes === 0 && quiet) throw new Violation('I4', `syncs with nothing to do call ${writes.join(', ')}`)
    quiet = changes === 0
  }
  throw new Violation('I3', `after ${MOST_TURNS} turns there still are changes: ${last}`)
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

function changesOf(summary: SyncSummary): number {
  const { uploaded, downloaded, deletedLocal, deletedRemote, renamed, modes, conflicts, resurrected } = summary
  return uploaded + downloaded + deletedLocal + deletedRemote + renamed + modes + conflicts + resurrected
}

async function digestOf(world: World): Promise<string> {
  const trees = world.devices.map(({ disk }) =>
    [...disk.tree(ROOT)].map(([path, { bytes, note }]) => [path, note, bytes && sha256(bytes)]),
  )
  const page = await world.scheduler.finish(world.server.store().list({ versions: true, deleted: true, limit: 10_000 }))
  const versions = page.items.map(({ key, version, hash, modified, entry }) => [key, version, hash, modified, entry])
  return sha256(Buffer.from(JSON.stringify([trees, versions, world.scheduler.elapsed()])))
}

/** What became of a history: null is well. */
export async function failureOf(history: History, coverage: Coverage = openCoverage()): Promise<Error | null> {
  try {
    await runHistory(history, coverage)
    return null
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

function kindOf(failure: Error): string {
  return failure instanceof Violation ? failure.law : failure.message.slice(0, 60)
}

/** The same failure with as few actions as dropping some can give. */
export async function shrink(history: History, failure: Error): Promise<History> {
  let best = history
  for (let size = Math.ceil(best.actions.length / 2); size >= 1;) {
    let smaller = false
    for (let at = 0; at < best.actions.length;) {
      const actions = [...best.actions.slice(0, at), ...best.actions.slice(at + size)]
      const next = { ...best, actions }
      const again = await failureOf(next)
      if (again !== null && kindOf(again) === kindOf(failure)) {
        best = next
        smaller = true
      } else at += size
    }
    if (size === 1 && !smaller) break
    size = size === 1 ? 1 : Math.floor(size / 2)
  }
  return best
}
