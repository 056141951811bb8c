import { expect, test } from 'vitest'
import { openFlusher } from '../../src/platform/flusher.ts'

const MIB = 1024 * 1024

test('what is written is flushed now and then, one flush at a time', async () => {
  let [flushes, most, underWay] = [0, 0, 0]
  const flusher = openFlusher(async () => {
    flushes++
    most = Math.max(most, ++underWay)
    await new Promise((resolve) => setTimeout(resolve, 5))
    underWay--
  })
  for (let i = 0; i < 31; i++) flusher.wrote(MIB)
  expect(flushes).toBe(0)
  for (let i = 0; i < 64; i++) flusher.wrote(MIB)
  expect(flushes).toBe(1)
  await flusher.settled()
  expect(underWay).toBe(0)
  flusher.wrote(1)
  await flusher.settled()
  expect([flushes, most]).toEqual([2, 1])
})

test('a flush that failed is told once, by the next that asks whether all is well', async () => {
  const flusher = openFlusher(() => Promise.reject(new Error('lost writes')))
  flusher.wrote(40 * MIB)
  await expect(flusher.settled()).rejects.toThrow('lost writes')
  await flusher.settled()
})
