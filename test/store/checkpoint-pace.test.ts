import { expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { EMPTY_HASH } from '../../src/content/hash.ts'
import { systemClock, systemIds as ids } from '../../src/platform/system.ts'
import type { EntryInput } from '../../src/store/contract/types.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { present } from '../backends/conformance.ts'

/** A clock on which every look at it takes a while, so that any work seems slow; notes how long was slept. */
function slowClock() {
  const slept: number[] = []
  let elapsed = 0
  const clock = {
    ...systemClock,
    elapsed: () => (elapsed += 5),
    sleep: (milliseconds: number, signal?: AbortSignal) => {
      slept.push(milliseconds)
      return systemClock.sleep(0, signal)
    },
  }
  return { clock, slept }
}

function puts(count: number): readonly EntryInput[] {
  const body = { depth: 0, refs: [] }
  const put = {
    type: 'put',
    expect: 'any',
    hash: EMPTY_HASH,
    size: 0,
    body,
    contentType: 'text/plain',
    meta: {},
  } as const
  return Array.from({ length: count }, (_, n) => ({ id: ids.next(), changes: [{ ...put, key: `key-${n}` }] }))
}

it('a checkpoint that nobody waits for rests longer than it works, and one that is waited for does not rest', async () => {
  const backend = openMemory()
  await backend.create('bucket')
  const ports = present(await backend.open('bucket'))
  const { clock, slept } = slowClock()
  const { promises } = backend
  const store = await openLogStore({ name: 'bucket', ports, viewDirectory: null, promises, clock, ids })
  const saved = async () => (await ports.log.trimming?.checkpoint())?.position ?? 0
  await store.commit(puts(1500))
  await expect.poll(saved).toBe(1501)
  const rests = slept.filter((milliseconds) => milliseconds > 0)
  expect(rests.length).toBeGreaterThan(10)
  expect(Math.min(...rests)).toBeGreaterThanOrEqual(15)

  slept.length = 0
  await store.commit(puts(10))
  await store.checkpoint()
  expect(await saved()).toBe(1511)
  expect(slept.filter((milliseconds) => milliseconds > 0)).toEqual([])
  await store.close()
})
