import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conflictName, parseConflictName } from '../../../src/sync/core/conflict-name.ts'

const HASH = '0123456789abcdef'.repeat(4)
const at = (iso: string): bigint => BigInt(Date.parse(iso)) * 1_000_000n
const named = (path: string, more: { mtimeNs?: bigint; device?: string; hash?: string; hashLength?: number } = {}) =>
  conflictName({ path, mtimeNs: at('2026-03-04T05:06:07Z'), device: 'laptop', hash: HASH, ...more })

describe('the name', () => {
  test.each([
    ['report.txt', 'report.conflict-20260304T050607Z-laptop-01234567.txt'],
    ['a/b.c/report', 'a/b.c/report.conflict-20260304T050607Z-laptop-01234567'],
    ['a.tar.gz', 'a.tar.conflict-20260304T050607Z-laptop-01234567.gz'],
    ['.bashrc', '.bashrc.conflict-20260304T050607Z-laptop-01234567'],
    ['..x', '..x.conflict-20260304T050607Z-laptop-01234567'],
    ['.config.json', '.config.conflict-20260304T050607Z-laptop-01234567.json'],
    ['odd.', 'odd..conflict-20260304T050607Z-laptop-01234567'],
    ['odd.x ', 'odd.x .conflict-20260304T050607Z-laptop-01234567'],
    ['10:30.txt', '10\ua78930.conflict-20260304T050607Z-laptop-01234567.txt'],
    ['é\u{1f600}.md', 'é\u{1f600}.conflict-20260304T050607Z-laptop-01234567.md'],
  ])('of %j is %j', (path, name) => {
    expect(named(path)).toBe(name)
    expect(parseConflictName(name)).toEqual({ path, device: 'laptop', time: '2026-03-04T05:06:07Z', hash: '01234567' })
  })

  test('shows more of the hash when asked to', () => {
    expect(named('a.txt', { hashLength: 12 })).toBe('a.conflict-20260304T050607Z-laptop-0123456789ab.txt')
    expect(named('a.txt', { hashLength: 1 })).toContain('-01234567.txt')
    expect(named('a.txt', { hashLength: 99 })).toContain(`-${HASH}.txt`)
  })

  test('of a conflict file has one tag, the new one', () => {
    const first = named('a.txt')
    const second = named(first, { device: 'desk', hash: 'f'.repeat(64) })
    expect(second).toBe('a.conflict-20260304T050607Z-desk-ffffffff.txt')
  })

  test('is never the path that it makes room for', () => {
    const first = named('a.txt')
    expect(named(first)).toBe('a.conflict-20260304T050607Z-laptop-012345678.txt')
    const longest = named('a.txt', { hashLength: 64 })
    expect(named(longest, { hashLength: 64 })).toBe(first)
  })

  test.each([
    ['Ärger & Söhne', 'arger-sohne'],
    ["Ann's MacBook_Pro.local", 'ann-s-macbook-pro-local'],
    ['///', 'device'],
    ['', 'device'],
    ['東京', 'device'],
    ['x'.repeat(80), 'x'.repeat(32)],
    [`${'x'.repeat(31)}-y`, 'x'.repeat(31)],
  ])('calls the device %j %j', (device, short) => {
    expect(named('a', { device })).toBe(`a.conflict-20260304T050607Z-${short}-01234567`)
  })

  test('keeps a long extension with the stem, and the whole within 255 bytes', () => {
    const long = named(`${'é'.repeat(100)}.${'x'.repeat(54)}`)
    expect(Buffer.byteLength(long)).toBeLessThanOrEqual(255)
    expect(long.endsWith('-01234567')).toBe(true)
  })
})

describe('the time', () => {
  test.each([
    ['1970-01-01T00:00:00Z', '19700101T000000Z'],
    ['1969-12-31T23:59:59Z', '19691231T235959Z'],
    ['2000-02-29T12:00:00Z', '20000229T120000Z'],
    ['1900-03-01T00:00:00Z', '19000301T000000Z'],
    ['9999-12-31T23:59:59Z', '99991231T235959Z'],
    ['0000-01-01T00:00:00Z', '00000101T000000Z'],
  ])('%s is written %s', (iso, stamp) => {
    expect(named('a', { mtimeNs: at(iso) })).toContain(`-${stamp}-`)
  })

  test('outside four digits of a year is the nearest second inside', () => {
    expect(named('a', { mtimeNs: -(10n ** 30n) })).toContain('-00000101T000000Z-')
    expect(named('a', { mtimeNs: 10n ** 30n })).toContain('-99991231T235959Z-')
  })

  test('just before 1970 belongs to the second that it is in', () => {
    expect(named('a', { mtimeNs: -1n })).toContain('-19691231T235959Z-')
  })

  test('is the one that the calendar has, for every second of four-digit years', () => {
    const seconds = fc.bigInt({ min: -62_167_219_200n, max: 253_402_300_799n })
    fc.assert(
      fc.property(seconds, fc.bigInt({ min: 0n, max: 999_999_999n }), (second, rest) => {
        const iso = new Date(Number(second) * 1000).toISOString()
        const stamp = iso.replaceAll(/[-:]|\.000/g, '')
        expect(named('a', { mtimeNs: second * 1_000_000_000n + rest })).toContain(`-${stamp}-`)
      }),
    )
  })
})

const segment = fc
  .oneof(
    fc.string({ unit: 'grapheme', minLength: 1, maxLength: 120 }),
    fc
      .array(fc.constantFrom('a', '.', ' ', ':', 'é', '\u{1f600}', '-'), { minLength: 1, maxLength: 250 })
      .map((all) => all.join('')),
  )
  .map((text) => text.normalize('NFC').replaceAll(/[/\0\ua789]/g, '_'))
  .filter((text) => Buffer.byteLength(text) <= 255 && !/^\.*$/.test(text))
const folder = fc.array(segment, { maxLength: 2 }).map((segments) => segments.map((each) => `${each}/`).join(''))

test('every name fits every disk, names its folder, and can be read back', () => {
  fc.assert(
    fc.property(folder, segment, fc.string(), fc.integer({ min: 8, max: 64 }), (above, name, device, hashLength) => {
      const path = named(above + name, { device, hashLength })
      const last = path.slice(path.lastIndexOf('/') + 1)
      expect(path.startsWith(above)).toBe(true)
      expect(Buffer.byteLength(last)).toBeLessThanOrEqual(255)
      expect(last).not.toMatch(/[:\0]|[. ]$/)
      expect(last.isWellFormed()).toBe(true)
      expect(last.normalize('NFC')).toBe(last)
      const tag = parseConflictName(path)
      expect(tag?.hash).toBe(HASH.slice(0, hashLength))
      // A stem that had to be cut cannot be told back.
      if (Buffer.byteLength(name) + Buffer.byteLength(last.slice(last.indexOf('.conflict-'))) < 200) {
        expect(tag?.path).toBe(above + name)
      }
      expect(Buffer.byteLength(named(path, { device, hashLength }))).toBeLessThanOrEqual(
        Math.max(Buffer.byteLength(path), Buffer.byteLength(above) + 255),
      )
    }),
    { numRuns: 1000 },
  )
})

test.each([
  ['plain.txt'],
  ['a.conflict-20260304T050607Z-laptop-0123456.txt'],
  ['a.conflict-20260304T050607Z-laptop-0123456g'],
  ['a.conflict-20261304T050607Z-laptop-01234567.txt'],
  ['a.conflict-20260230T050607Z-laptop-01234567.txt'],
  ['a.conflict-20260304T250607Z-laptop-01234567.txt'],
  ['a.conflict-20260304T056007Z-laptop-01234567.txt'],
  ['a.conflict-20260304T050607Z--01234567.txt'],
  ['a.conflict-20260304T050607Z-LAPTOP-01234567.txt'],
  ['.conflict-20260304T050607Z-laptop-01234567'],
  ['a.conflict-20260304T050607Z-laptop-01234567/b'],
])('%j is no conflict file', (path) => {
  expect(parseConflictName(path)).toBeNull()
})
