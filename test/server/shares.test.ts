import { expect, it } from 'vitest'
import { openShares } from '../../src/server/shares.ts'

function shares() {
  const clock = { time: 1000 }
  const open = openShares({ most: 3, perSecond: 10, burst: 5, now: () => clock.time })
  const enter = (name = 'ann'): boolean => {
    try {
      open.enter(name)()
      return true
    } catch {
      return false
    }
  }
  /** How many of many come in. */
  const flood = (): number => Array.from({ length: 50 }, () => enter()).filter(Boolean).length
  return { clock, open, enter, flood }
}

it('after a burst so many come in as the time since allows', () => {
  const { clock, flood, enter } = shares()
  expect(flood()).toBe(5)
  expect(enter('bob')).toBe(true)
  clock.time += 300
  expect(flood()).toBe(3)
  clock.time += 3_600_000
  expect(flood()).toBe(5)
})

it('those under way are counted too, and one that is done makes room', () => {
  const { open, clock } = shares()
  const leave = [1, 2, 3].map(() => open.enter('ann'))
  expect(() => open.enter('ann')).toThrow('under way')
  leave[0]?.()
  clock.time += 1000
  expect(() => open.enter('ann')).not.toThrow()
})

it('a clock that is set back takes and gives nothing', () => {
  const { clock, flood } = shares()
  expect(flood()).toBe(5)
  clock.time -= 3_600_000
  expect(flood()).toBe(0)
  clock.time += 200
  expect(flood()).toBe(2)
})

it('ten thousand names are forgotten when they are idle, and none that is not', () => {
  const { clock, open, flood } = shares()
  expect(flood()).toBe(5)
  for (let n = 0; n < 25_000; n++) open.enter(`token ${n}`)()
  expect(flood()).toBe(0)
  clock.time += 100
  expect(flood()).toBe(1)
})
