import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDuration, parseMeta, parseRange, parseRate, parseSize, parseTime } from '../../src/cli/values.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'

const NOW = Date.UTC(2026, 6, 28, 12, 0, 0)

function refused(act: () => unknown): boolean {
  try {
    act()
    return false
  } catch (error) {
    return isBlobsError(error, 'InvalidRequest') && error.hint !== undefined
  }
}

describe('sizes and rates', () => {
  test.each([
    ['0', 0],
    ['1000', 1000],
    ['500K', 500_000],
    ['500kB', 500_000],
    ['1.5 MB', 1_500_000],
    ['2GiB', 2 * 1024 ** 3],
    ['1Ki', 1024],
    ['3t', 3e12],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  test.each(['', 'x', '-1', '1X', '1 K B', 'K', '1e3'])('%j is no size', (text) => {
    expect(refused(() => parseSize(text))).toBe(true)
  })

  test('a rate may be written with /s and is never 0', () => {
    expect(parseRate('2MB/s')).toBe(2_000_000)
    expect(refused(() => parseRate('0'))).toBe(true)
    expect(() => parseRate('fast')).toThrow('"fast" is not a rate')
  })
})

describe('time spans', () => {
  test.each([
    ['90s', 90_000],
    ['30m', 1_800_000],
    ['30min', 1_800_000],
    ['2h', 7_200_000],
    ['3d', 259_200_000],
    ['1w', 604_800_000],
    ['1.5h', 5_400_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  test.each(['', '2', 'h', '-2h', '0s', '2 hours', '2y'])('%j is no span', (text) => {
    expect(refused(() => parseDuration(text))).toBe(true)
  })
})

describe('times', () => {
  test.each([
    ['2h', '2026-07-28T10:00:00.000Z'],
    ['3d', '2026-07-25T12:00:00.000Z'],
    ['2026-07-28T10:00:00Z', '2026-07-28T10:00:00.000Z'],
    ['2026-07-28t10:00:00.250z', '2026-07-28T10:00:00.250Z'],
    ['2026-07-28T10:00:00+02:00', '2026-07-28T08:00:00.000Z'],
    ['2026-07-28T10:00:00-00:30', '2026-07-28T10:30:00.000Z'],
  ])('%s is %s', (text, expected) => {
    expect(parseTime(text, NOW)).toBe(expected)
  })

  test('a time without a zone is local', () => {
    expect(parseTime('2026-07-28 03:04', NOW)).toBe(new Date(2026, 6, 28, 3, 4).toISOString())
    expect(parseTime('2026-07-28 03:04:05', NOW)).toBe(new Date(2026, 6, 28, 3, 4, 5).toISOString())
    expect(parseTime('2026-07-01', NOW)).toBe(new Date(2026, 6, 1).toISOString())
  })

  test.each(['', 'yesterday', '2026-02-30 10:00', '2026-13-01', '2026-07-28 24:00', '2026-07-28 10:60', '28.07.2026'])(
    '%j is no time',
    (text) => {
      expect(refused(() => parseTime(text, NOW))).toBe(true)
    },
  )

  test('a time that is still to come is refused', () => {
    expect(refused(() => parseTime('2026-07-29T00:00:00Z', NOW))).toBe(true)
  })

  test('every RFC 3339 time of the past means the same moment as in JavaScript', () => {
    fc.assert(
      fc.property(fc.date({ min: new Date(0), max: new Date(NOW), noInvalidDate: true }), (date) => {
        expect(parseTime(date.toISOString(), NOW)).toBe(date.toISOString())
      }),
    )
  })
})

describe('ranges of bytes', () => {
  test.each([
    ['0-99', [0, 99]],
    ['5-5', [5, 5]],
    ['100-', [100, Infinity]],
    ['-50', [-50, Infinity]],
  ])('%s', (text, range) => {
    expect(parseRange(text)).toEqual(range)
  })

  test.each(['', '-', '5', '9-3', '-0', 'a-b', '1-2-3', '99999999999999999-'])('%j is no range', (text) => {
    expect(refused(() => parseRange(text))).toBe(true)
  })
})

describe('metadata', () => {
  test('is name=value, and the value may hold anything', () => {
    expect(parseMeta(['author=Ada Lovelace', 'note=a=b\nc', 'empty='])).toEqual({
      author: 'Ada Lovelace',
      note: 'a=b\nc',
      empty: '',
    })
  })

  test.each(['x', '=x', 'UPPER=x', 'a b=c', 'mtime=5', 'mode=755'])('%j is refused', (text) => {
    expect(refused(() => parseMeta([text]))).toBe(true)
  })
})
