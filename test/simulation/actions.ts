import type { Agent, Keep } from '../../src/sync/agent.ts'
import type { Coverage } from './coverage.ts'
import type { Action } from './history.ts'
import { findPlaces, isFindable, Violation, type Past } from './laws.ts'
import type { Among, Trap } from './life.ts'
import type { Device, World } from './world.ts'

/** Lets one thing happen. */
export async function happen(world: World, action: Action, past: Past, coverage: Coverage): Promise<void> {
  coverage.count(`action: ${action.type}`)
  const device = 'device' in action ? world.devices[action.device] : undefined
  if (device) return happenTo(world, device, action, past)
  return befall(world, action, past)
}

async function happenTo(world: World, device: Device, action: Action, past: Past): Promise<void> {
  switch (action.type) {
    case 'deed':
      return device.person.do(action.deed)
    case 'deed during sync': {
      const { deed } = action
      return during(device, action, { type: 'act', act: () => device.person.doMeanwhile(deed) })
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
    case 'lose root':
      return device.person.absence.lose(action.how)
    case 'lose root during sync':
      return during(device, action, { type: 'act', act: () => device.person.absence.lose(action.how) })
    case 'bring root back':
      return bringBack(device)
    case 'decide':
      return decide(world, device, action.yes)
    case 'resolve':
      await device.rest()
      return device.begin((agent) => resolve(device, agent, action.keep))
    default:
  }
}

interface Aim {
  readonly at: number
  readonly among: Among
  readonly waits?: boolean
}

function during(device: Device, { at, among, waits = false }: Aim, trap: Trap): void {
  if (!waits) device.begin()
  device.process()?.arm(at, among, trap)
}

/** The folder is itself again. Nothing may have been put into what stood in its place. */
export function bringBack({ name, person }: Device): void {
  const left = person.absence.bringBack()
  if (left.length > 0) throw new Violation('I14', `${name} wrote ${left.join(', ')} into a folder that is not its root`)
}

/** Somebody says yes or no to what waits. */
export async function decide({ accounts }: World, device: Device, yes: boolean): Promise<void> {
  await device.rest()
  if (!yes) for (const path of device.held()) accounts.wantedBack(path)
  device.begin((agent) => (yes ? agent.approve() : agent.reject()))
}

async function resolve(device: Device, agent: Agent, keep: Keep): Promise<void> {
  const [conflict] = await agent.conflicts()
  const sibling = conflict?.siblings[0]
  if (conflict === undefined || sibling === undefined || device.person.absence.isAway()) return
  device.person.resolves(conflict.path, sibling.path, keep)
  await agent.resolveConflict(sibling.path, keep)
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
      world.server.setRoom(Number.POSITIVE_INFINITY)
      if (!(await world.scheduler.finish(world.server.restore()))) return
      past.restored = true
      return forgetWhatTheServerLost(world)
    case 'recreate bucket':
      world.server.setRoom(Number.POSITIVE_INFINITY)
      await world.scheduler.finish(world.server.recreate())
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
