import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../../src/platform/system.ts'
import type { Agent } from '../../src/sync/agent.ts'
import { openWorld, type Folder, type World } from './world.ts'

let world: World
let a: Folder
let b: Folder
let stops: (() => Promise<void>)[]
beforeEach(async () => {
  world = await openWorld(systemClock)
  a = await world.folder('a')
  b = await world.folder('b')
  stops = []
})
afterEach(async () => {
  for (const stop of stops) await stop()
  await world.close()
})

async function until(holds: () => boolean): Promise<void> {
  const start = performance.now()
  while (!holds()) {
    if (performance.now() - start > 15_000) throw new Error('it did not come to be')
    await sleep(5)
  }
}

/** An agent that goes on until the test ends, or `stop`. */
async function live(folder: Folder): Promise<{ agent: Agent; stop(): Promise<void> }> {
  const agent = await folder.open()
  const stopping = new AbortController()
  const done = agent.watch(stopping.signal)
  let ended: Promise<void> | null = null
  const stop = (): Promise<void> =>
    (ended ??= (async () => {
      stopping.abort()
      await done
      await agent.close()
    })())
  stops.push(stop)
  return { agent, stop }
}

test('nothing is synced by itself while a folder is paused, and everything after', async () => {
  const { agent } = await live(a)
  await until(() => agent.status().state === 'idle')
  await agent.pause(null)
  await until(() => agent.status().state === 'paused')
  expect(agent.status().paused).toEqual({ until: null })
  a.write('here.txt', 'here')
  b.write('there.txt', 'there')
  await b.sync()
  await sleep(500)
  expect(a.read('there.txt')).toBeNull()
  expect(await agent.why('here.txt')).toMatchObject({
    reason: expect.stringContaining('paused'),
    next: expect.stringContaining('blobs resume'),
  })
  await agent.resume()
  await until(() => a.read('there.txt') === 'there' && agent.status().state === 'idle')
  expect(agent.status().paused).toBeNull()
  expect(await agent.why('there.txt')).toMatchObject({ reason: null })
  await b.sync()
  expect(b.read('here.txt')).toBe('here')
})

test('a pause ends by itself at its time', async () => {
  const { agent } = await live(a)
  await until(() => agent.status().state === 'idle')
  const end = systemClock.now() + 400
  await agent.pause(end)
  await until(() => agent.status().state === 'paused')
  expect(agent.status().paused).toEqual({ until: new Date(end).toISOString() })
  await until(() => agent.status().state === 'idle')
  expect(systemClock.now()).toBeGreaterThanOrEqual(end)
  expect(agent.status().paused).toBeNull()
})

test('a pause outlasts the agent, and can be made and ended without one', async () => {
  const first = await live(a)
  await until(() => first.agent.status().state === 'idle')
  await first.agent.pause(null)
  await first.stop()
  const looker = await a.open()
  expect(looker.status()).toMatchObject({ state: 'paused', paused: { until: null } })
  await looker.close()
  const second = await live(a)
  await until(() => second.agent.status().state === 'paused')
  a.write('new.txt', 'new')
  await sleep(300)
  expect(second.agent.status().synced).toBe(0)
  await second.stop()
  const other = await a.open()
  await other.resume()
  await other.close()
  const third = await live(a)
  await until(() => third.agent.status().synced === 1)
})

test('who asks for a sync gets one, also while it is paused', async () => {
  const { agent } = await live(a)
  await until(() => agent.status().state === 'idle')
  await agent.pause(null)
  await until(() => agent.status().state === 'paused')
  a.write('now.txt', 'now')
  expect(await agent.syncOnce()).toMatchObject({ uploaded: 1, synced: 1 })
  expect(agent.status().state).toBe('paused')
})

test('a pause that is made longer, or again, holds', async () => {
  const { agent } = await live(a)
  await until(() => agent.status().state === 'idle')
  await agent.pause(systemClock.now() + 200)
  await agent.pause(null)
  await sleep(500)
  expect(agent.status().state).toBe('paused')
  a.write('x.txt', 'x')
  await agent.resume()
  await until(() => agent.status().synced === 1)
  await agent.pause(null)
  await until(() => agent.status().state === 'paused')
})
