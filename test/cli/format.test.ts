import { describe, expect, test } from 'vitest'
import { count, duration, localTime, plain, relativeTime, size, table } from '../../src/cli/format.ts'
import { describeProgress, openMeter } from '../../src/cli/progress.ts'

const NOW = Date.UTC(2026, 6, 28, 12, 0, 0)
const SECOND = 1000
const HOUR = 3_600_000
const DAY = 24 * HOUR

describe('relative times', () => {
  test.each([
    [0, 'just now'],
    [9 * SECOND, 'just now'],
    [40 * SECOND, '40 s ago'],
    [125 * SECOND, '2 min ago'],
    [3 * HOUR, '3 h ago'],
    [DAY, '1 day ago'],
    [6 * DAY, '6 days ago'],
    [70 * DAY, '2 months ago'],
    [400 * DAY, '1 year ago'],
    [-3 * DAY, 'in 3 days'],
  ])('%d ms ago is "%s"', (ms, text) => {
    expect(relativeTime(NOW - ms, NOW)).toBe(text)
  })
})

test('sizes are decimal, with three significant digits', () => {
  expect([0, 999, 1074, 586_737, 1_234_567, 5_368_709_120].map(size)).toEqual([
    '0 B',
    '999 B',
    '1.07 kB',
    '587 kB',
    '1.23 MB',
    '5.37 GB',
  ])
})

test('counts agree with their noun', () => {
  expect([0, 1, 1204].map((n) => count(n, 'blob'))).toEqual(['0 blobs', '1 blob', '1,204 blobs'])
})

test('durations are short', () => {
  expect([0.04, 0.26, 8.1, 42, 130, 3909].map(duration)).toEqual(['0 s', '0.3 s', '8.1 s', '42 s', '2:10', '1:05:09'])
})

test('a local time has no seconds', () => {
  expect(localTime(new Date(2026, 6, 8, 3, 4, 59).getTime())).toBe('2026-07-08 03:04')
})

test('a table is aligned and has no trailing spaces', () => {
  const rows = [
    ['v1', '12 B', 'a'],
    ['v10', '1.2 MB', ''],
  ]
  expect(table(rows, ['right', 'right', 'left'])).toEqual([' v1    12 B  a', 'v10  1.2 MB'])
})

test('only control and direction characters are escaped', () => {
  expect(plain('Grüße 日本 \u001b[2J\u202Egnp.exe\t')).toBe('Grüße 日本 \\u001b[2J\\u202egnp.exe\\t')
})

describe('progress', () => {
  const state = { bytes: 250e6, items: 3, totalBytes: 1e9, totalItems: 10 }
  test('tells how much, how fast, and how long it will take', () => {
    expect(describeProgress(state, { rate: 50e6, seconds: 2 })).toBe(
      '3 of 10 files · 250 MB of 1 GB · 25% · 50 MB/s · 15 s left',
    )
  })
  test('of an unknown end tells how much and how fast', () => {
    expect(
      describeProgress({ ...state, totalBytes: null, totalItems: null, items: 0 }, { rate: 50e6, seconds: 9 }),
    ).toBe('250 MB · 50 MB/s')
  })
  test('without a rate yet tells none', () => {
    expect(describeProgress(state, { rate: null, seconds: 0 })).toBe('3 of 10 files · 250 MB of 1 GB · 25%')
  })
  test.each([
    ['before two seconds', { bytes: 250e6, seconds: 1.9 }, '250 MB of 1 GB · 25% · 50 MB/s'],
    ['before a hundredth', { bytes: 9e6, seconds: 60 }, '9 MB of 1 GB · 0% · 50 MB/s'],
    ['from a hundredth on', { bytes: 10e6, seconds: 2 }, '10 MB of 1 GB · 1% · 50 MB/s · 20 s left'],
  ])('%s, tells what is left only if it can be guessed', (_, { bytes, seconds }, said) => {
    expect(describeProgress({ bytes, items: 1, totalBytes: 1e9, totalItems: 1 }, { rate: 50e6, seconds })).toBe(said)
  })
  test('of what takes more than a day tells no hours', () => {
    expect(describeProgress(state, { rate: 8000, seconds: 9 })).toMatch(/25% · 8 kB\/s · more than a day left$/)
  })
  test('the time before the first byte is none in which bytes moved', () => {
    let now = 0
    const meter = openMeter({ elapsed: () => now })
    for (now = 0; now <= 60_000; now += 100) meter.speed(0)
    now = 61_000
    expect(meter.speed(1_000_000)).toEqual({ rate: 1_000_000, seconds: 1 })
    now = 63_000
    expect(meter.speed(5_000_000)).toMatchObject({ seconds: 3 })
    // Another count begins.
    expect(meter.speed(1_000)).toEqual({ rate: null, seconds: 0 })
  })
})
