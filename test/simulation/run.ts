import { sha256 } from '../../src/content/hash.ts'
import type { MaxDelete, SyncSummary } from '../../src/sync/agent.ts'
import { deleteLimit } from '../../src/sync/core/safety.ts'
import { openCoverage, type Coverage } from './coverage.ts'
import { bringBack, decide, happen } from './actions.ts'
import type { History } from './history.ts'
import { checkHonesty, checkLaws, checkTidiness, Violation, type Past } from './laws.ts'
import { ROOT } from './person.ts'
import { checkServerWhole } from './server-laws.ts'
import { openWorld, RESCAN, type World } from './world.ts'

const MOST_TURNS = 12
const NO_BRAKE = { count: 1000 }

/** Lives through a history and checks every law at its end. Gives a digest of the whole world; throws a `Violation`. */
export async function runHistory(history: History, coverage: Coverage): Promise<string> {
  const world = await openWorld({ maxDelete: NO_BRAKE, ...history, coverage })
  try {
    return await liveThrough(world, history, coverage)
  } finally {
    world.close()
  }
}

async function liveThrough(world: World, history: History, coverage: Coverage): Promise<string> {
  const past: Past = { restored: false, lostState: false }
  for (const action of history.actions) {
    await happen(world, action, past, coverage)
    const rested = action.type === 'rest' ? world.devices[action.device] : undefined
    if (rested) checkHonesty(rested.name, rested.disk, world.accounts)
  }
  await calmDown(world)
  if (history.live === true) await follow(world)
  else await quitAll(world)
  const { maxDelete = NO_BRAKE } = history
  await settle(world, maxDelete)
  await checkLaws(world, past)
  await checkServerWhole(world)
  if (history.tidy === true) checkTidiness(world)
  for (const device of world.devices) await device.die(false)
  await settle(world, maxDelete)
  checkTidiness(world)
  return digestOf(world)
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
    bringBack(device)
    device.person.tidy()
  }
  await world.calm()
  await world.scheduler.finish(world.scheduler.sleep(5000))
}

async function quitAll({ devices }: World): Promise<void> {
  for (const device of devices) await device.quit()
}

/** Longer than it takes to look at everything once more, whatever was not told of. */
const LONG = 2 * RESCAN + 90_000

/** Longer than anything takes to come from one to all others who follow, also where a watch is missing. */
const SOON = 30_000
const NEWS = 'news'

/** Everybody follows both sides until they are the same; and then what somebody does comes to all soon. */
async function follow(world: World): Promise<void> {
  const { devices, scheduler } = world
  for (const device of devices) device.live()
  await scheduler.finish(scheduler.sleep(LONG))
  if (world.accounts.everIgnored(NEWS)) return quitAll(world)
  devices[0]?.person.do({ type: 'write', path: NEWS, text: 'what is new', style: 'rename' })
  await scheduler.finish(scheduler.sleep(SOON))
  for (const { name, disk } of devices) {
    if (disk.fs.lstat(`${ROOT}/${NEWS}`) === null)
      throw new Violation('I2', `${name} follows both sides, and has not heard of what is new`)
  }
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
async function settle(world: World, maxDelete: MaxDelete | null): Promise<void> {
  let quiet = false
  let last = ''
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    let changes = 0
    const writes: string[] = []
    for (const device of world.devices) {
      const before = device.process()?.writes().length ?? 0
      const allowed = device.approved()
      const start = device.deletions()
      const summary = await device.sync().catch((error: unknown) => {
        throw new Violation('I3', `without faults, the sync of ${device.name} ends with ${describe(error)}`)
      })
      const { local, remote } = device.deletions()
      const most = allowed + deleteLimit(device.files(), maxDelete)
      if (Math.max(local - start.local, remote - start.remote) > most)
        throw new Violation('I15', `${device.name} deletes more than ${most} files without a yes`)
      changes += changesOf(summary)
      writes.push(...(device.process()?.writes().slice(before) ?? []))
      last = `${device.name} ${JSON.stringify(summary)}`
    }
    if (changes === 0 && (await approveAll(world))) continue
    if (changes === 0 && writes.length === 0) return
    if (changes === 0 && quiet) throw new Violation('I4', `syncs with nothing to do call ${writes.join(', ')}`)
    quiet = changes === 0
  }
  throw new Violation('I3', `after ${MOST_TURNS} turns there still are changes: ${last}`)
}

/** In the end somebody says yes to all that waits. */
async function approveAll(world: World): Promise<boolean> {
  const waiting = world.devices.filter((device) => device.held().length > 0)
  for (const device of waiting) {
    await decide(world, device, true)
    await device.rest()
  }
  return waiting.length > 0
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
