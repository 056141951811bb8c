import { expect, it } from 'vitest'
import { isLed, streamInfo } from '../../src/backends/nats/answers.ts'

const STATE = { messages: 1, bytes: 1, first_seq: 1, last_seq: 1 }
const NOW = { name: 'n1', current: true, active: 1_300_000_000 }
const LONG_AGO = { name: 'n2', current: true, active: 3_600_000_000 }

const answer = (num_replicas: number, cluster?: object): Parameters<typeof isLed>[0] =>
  streamInfo({ state: STATE, config: { name: 's', subjects: [], num_replicas }, ...(cluster ? { cluster } : {}) })

it.each([
  ['a single server', true, answer(1)],
  ['one replica in a cluster', true, answer(1, { leader: 'n0' })],
  ['a leader that hears all', true, answer(3, { leader: 'n0', replicas: [NOW, NOW] })],
  ['a leader that hears one of two others', true, answer(3, { leader: 'n0', replicas: [NOW, LONG_AGO] })],
  ['a leader that hears nobody', false, answer(3, { leader: 'n0', replicas: [LONG_AGO, LONG_AGO] })],
  ['a leader of two that hears nobody', false, answer(2, { leader: 'n0', replicas: [LONG_AGO] })],
  [
    'a leader of five that hears one',
    false,
    answer(5, { leader: 'n0', replicas: [NOW, LONG_AGO, LONG_AGO, LONG_AGO] }),
  ],
  ['one of those that hold it while nobody leads', false, answer(3, { replicas: [NOW, NOW, LONG_AGO] })],
  ['the same, where it says so', false, answer(3, { leader: '', replicas: [NOW, NOW] })],
])('a stream of %s is led for sure: %s', (_who, expected, info) => {
  expect(isLed(info)).toBe(expected)
})
