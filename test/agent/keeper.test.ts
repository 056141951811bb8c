import { expect, it } from 'vitest'
import { openHost } from '../../src/agent/host.ts'
import { openKeeper, type OpenedAgent } from '../../src/agent/keeper.ts'
import { openNotifier } from '../../src/agent/notify.ts'
import { systemClock } from '../../src/platform/system.ts'
import type { Clock } from '../../src/platform/ports.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { Agent, SyncEvent } from '../../src/sync/agent.ts'

/** Time that passes only when someone waits for it. */
function pausing(): Clock & { readonly slept: number[]; release(): void } {
  const slept: number[] = []
  let wake: () => void = () => undefined
  let elapsed = 0
  return {
    slept,
    release: () => wake(),
    now: () => 1_790_000_000_000 + elapsed,
    elapsed: () => elapsed,
    sleep: (milliseconds, signal) => {
      slept.push(milliseconds)
      return new Promise((resolve) => {
        wake = () => {
          elapsed += milliseconds
          resolve()
        }
        signal?.addEventListener('abort', () => resolve(), { once: true })
      })
    },
  }
}

/** An agent that watches until it is told to stop, or `fail` is called. */
function fake(): { opened: OpenedAgent; fail(error: Error): void; closed(): number } {
  let fail: (error: Error) => void = () => undefined
  let closed = 0
  const watch = (signal: AbortSignal): Promise<never> =>
    new Promise((resolve, reject) => {
      fail = reject
      signal.addEventListener('abort', () => resolve(undefined as never), { once: true })
    })
  const agent = { watch, status: () => ({ state: 'idle' }) } as unknown as Agent
  return { opened: { agent, close: async () => void closed++ }, fail: (error) => fail(error), closed: () => closed }
}

function logged() {
  const lines: [string, Readonly<Record<string, unknown>>][] = []
  return { lines, log: { write: (event: string, fields = {}) => void lines.push([event, fields]) } }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

it('a folder that fails is tried again after pauses that double, and told once for the same trouble', async () => {
  const clock = pausing()
  const { log, lines } = logged()
  const open = async (): Promise<OpenedAgent> => {
    throw new Error('the disk is gone')
  }
  const keeper = openKeeper({ kept: { folder: '/notes' }, open, clock, log, onEvent: () => undefined })
  for (let n = 0; n < 11; n++) {
    await turn()
    clock.release()
  }
  await turn()
  expect(clock.slept.slice(0, 4)).toEqual([1000, 2000, 4000, 8000])
  expect(Math.max(...clock.slept)).toBe(300_000)
  expect(keeper.report()).toMatchObject({ status: null, problem: { message: 'the disk is gone' } })
  expect(lines).toEqual([['failed', { folder: '/notes', message: 'the disk is gone', hint: '' }]])
  await keeper.stop()
})

it('one that ran well for a while is tried again soon, and is well again', async () => {
  const clock = pausing()
  const { log } = logged()
  const agents = [fake(), fake(), fake()]
  let next = 0
  const open = async (): Promise<OpenedAgent> => (agents[next++] ?? fake()).opened
  const keeper = openKeeper({ kept: { folder: '/notes' }, open, clock, log, onEvent: () => undefined })
  await turn()
  expect(keeper.report()).toMatchObject({ status: { state: 'idle' }, problem: null })
  agents[0]?.fail(new Error('broken'))
  await turn()
  expect(agents[0]?.closed()).toBe(1)
  expect(keeper.report()).toMatchObject({ status: null, problem: { message: 'broken' } })
  clock.release()
  await turn()
  expect(keeper.report()).toMatchObject({ status: { state: 'idle' }, problem: null })
  expect(clock.slept).toEqual([1000])
  await keeper.stop()
  expect(agents[1]?.closed()).toBe(1)
})

it('a folder that somebody else syncs is taken when that ends', async () => {
  const clock = pausing()
  const open = async (): Promise<OpenedAgent> => {
    throw new BlobsError('Refused', 'it is synced by pid 4711', { hint: 'wait' })
  }
  const { log } = logged()
  const keeper = openKeeper({ kept: { folder: '/notes' }, open, clock, log, onEvent: () => undefined })
  for (let n = 0; n < 3; n++) {
    await turn()
    clock.release()
  }
  expect(clock.slept).toEqual([15_000, 15_000, 15_000])
  expect(keeper.report().problem).toMatchObject({ hint: 'wait' })
  await keeper.stop()
})

it('a host begins with what is new, ends what is gone, and starts anew what was changed', async () => {
  const { log, lines } = logged()
  const opened: string[] = []
  const open = async ({ folder }: { folder: string }): Promise<OpenedAgent> => {
    opened.push(folder)
    if (folder === '/bad') throw new Error('broken')
    return fake().opened
  }
  const host = openHost({ open, clock: systemClock, log, notifier: null, onEvent: () => undefined })
  await host.follow({ folders: [{ folder: '/a' }, { folder: '/bad' }, { folder: '/b' }], notify: true })
  await turn()
  expect(host.reports().map(({ folder, status }) => [folder, status !== null])).toEqual([
    ['/a', true],
    ['/bad', false],
    ['/b', true],
  ])
  await host.follow({ folders: [{ folder: '/a' }, { folder: '/b', limitRate: 10 }, { folder: '/c' }], notify: true })
  await turn()
  expect(opened).toEqual(['/a', '/bad', '/b', '/b', '/c'])
  expect(host.reports().map(({ folder }) => folder)).toEqual(['/a', '/b', '/c'])
  await host.close()
  expect(host.reports()).toEqual([])
  expect(lines.filter(([event]) => event === 'left')).toHaveLength(5)
})

it('the desktop hears of conflicts and brakes: together, not often, and of nothing else', async () => {
  const clock = pausing()
  const shown: string[] = []
  const stop = new AbortController()
  const notifier = openNotifier((title, text) => shown.push(`${title} | ${text}`), clock, stop.signal)
  const conflict = (path: string): SyncEvent => ({ type: 'conflict', path, sibling: `${path}.conflict` })
  notifier.event('/home/ada/notes', { type: 'uploaded', path: 'a', version: 1, size: 1 })
  notifier.event('/home/ada/notes', conflict('a'))
  notifier.event('/home/ada/notes', conflict('b'))
  await turn()
  expect(clock.slept).toEqual([3000])
  clock.release()
  await turn()
  expect(shown).toEqual([
    'blobs: notes | 2 files were edited on both sides; both edits are kept: blobs conflicts /home/ada/notes',
  ])
  notifier.event('/home/ada/notes', { type: 'brake', side: 'remote', count: 1200 })
  await turn()
  expect(clock.slept[1]).toBe(300_000)
  clock.release()
  await turn()
  expect(shown[1]).toBe('blobs: notes | 1200 deletes wait for your word: blobs status /home/ada/notes')
  stop.abort()
})
