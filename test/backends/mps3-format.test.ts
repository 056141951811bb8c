import * as fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { openNames, type Placed } from '../../src/backends/s3/mps3/log.ts'
import { entryKey, listedFrom, parseEntryKey } from '../../src/backends/s3/mps3/names.ts'
import { findOverwritten } from '../../src/backends/s3/mps3/overwritten.ts'
import { siblingKey } from '../../src/backends/s3/mps3/sibling.ts'
import { formatEntry, parseEntry, replay } from '../../src/backends/s3/mps3/state.ts'

const time = fc.integer({ min: 0, max: 2 ** 42 - 1 })

describe('names of entries', () => {
  it('are those of MPS3', () => {
    const key = 'manifest.json@2bo132ug1_dd9_vu'
    const name = parseEntryKey('manifest.json', key)
    expect(name).toEqual({ key, time: 2 ** 42 - 1 - Number.parseInt('2bo132ug1', 32) })
    expect(entryKey('manifest.json', name?.time ?? 0, 'dd9', 1)).toBe(key)
  })

  it('tell their time, and sort the newest first', () => {
    fc.assert(
      fc.property(time, time, fc.integer({ min: 0, max: 1023 }), (a, b, count) => {
        const [first, second] = [entryKey('m', a, 'abc', count), entryKey('m', b, 'abc', count)]
        expect(parseEntryKey('m', first)?.time).toBe(a)
        expect(Math.sign(Buffer.compare(Buffer.from(first), Buffer.from(second)))).toBe(Math.sign(b - a))
        expect(listedFrom('m', a) < first).toBe(true)
      }),
    )
  })

  it('of one process are all different and whole, beyond the 1024 of a session', () => {
    const nameAt = openNames('m')
    const names = Array.from({ length: 3000 }, (_, index) => nameAt(1_795_258_791_746 + (index >> 2)))
    expect(new Set(names).size).toBe(3000)
    expect(names.filter((name) => parseEntryKey('m', name) === null)).toEqual([])
  })

  test.each([
    'm@01795258791746_ab', // of MPS3 0.0.57
    'm@2bo132ug1_dd9_-1', // what MPS3 writes after its 1024th write
    'mm@2bo132ug1_dd9_vu',
    'm@2bo132ug1_dd9',
    'm',
  ])('%s is none', (key) => {
    expect(parseEntryKey('m', key)).toBeNull()
  })
})

describe('what stands', () => {
  const placed = (at: number, files: Record<string, string>, update: Record<string, string | null>): Placed => ({
    key: `m@${at}`,
    time: at,
    entry: { files: new Map(Object.entries(files)), update: new Map(Object.entries(update)) },
  })

  it('is the state before the newest entry, and every listed entry done again', () => {
    const entries = [
      placed(1, { 'b/old': '0' }, { 'b/x': '1' }),
      placed(2, { 'b/old': '0' }, { 'b/y': '2', 'b/x': '3' }),
      placed(3, { 'b/old': '0', 'b/x': '1' }, { 'b/y': null }),
    ]
    expect(Object.fromEntries(replay(entries.map(({ entry }) => entry)))).toEqual({ 'b/old': '0', 'b/x': '3' })
    expect(replay([])).toEqual(new Map())
  })

  it('is written and read in the same way, whatever the names are', () => {
    const versions = fc.dictionary(fc.string({ minLength: 1 }), fc.uuid())
    const updates = fc.dictionary(fc.string({ minLength: 1 }), fc.option(fc.uuid()))
    fc.assert(
      fc.property(versions, updates, (files, update) => {
        const { entry } = placed(1, files, update)
        expect(parseEntry('m', Buffer.from(formatEntry(entry)))).toEqual(entry)
      }),
    )
  })

  test.each(['', 'null', '[]', '{"files":3}', '{"update":{"files":[]}}'])('%j is no entry', (text) => {
    expect(() => parseEntry('m@1', Buffer.from(text))).toThrow(expect.objectContaining({ code: 'Corrupt' }))
  })

  it('tells who overwrote what he had not seen', () => {
    const found = findOverwritten([
      placed(1, {}, { 'b/x': '1' }),
      placed(2, { 'b/x': '1' }, { 'b/x': '2' }),
      placed(3, { 'b/x': '1' }, { 'b/x': '3' }),
      placed(4, { 'b/x': '3' }, { 'b/x': null }),
      placed(5, {}, { 'b/y': '5' }),
      placed(6, {}, { 'b/y': null }),
    ])
    expect(found).toEqual([
      { ref: 'b/x', version: '2', time: 2, by: '3', entry: 'm@3' },
      { ref: 'b/y', version: '5', time: 5, by: null, entry: 'm@6' },
    ])
  })
})

test.each([
  ['notes/plan.json', 'notes/plan.conflict-20260131T120000Z-mps3-abcdef01.json'],
  ['plan', 'plan.conflict-20260131T120000Z-mps3-abcdef01'],
  ['.hidden', '.hidden.conflict-20260131T120000Z-mps3-abcdef01'],
])('beside %s is %s', (key, sibling) => {
  expect(siblingKey(key, Date.parse('2026-01-31T12:00:00.500Z'), `abcdef01${'0'.repeat(56)}`)).toBe(sibling)
})

test('a long name gives room for what tells it apart', () => {
  const sibling = siblingKey(`d/${'é'.repeat(120)}.json`, 0, 'f'.repeat(64))
  expect(Buffer.byteLength(sibling.slice(2))).toBeLessThanOrEqual(255)
  expect(sibling).toMatch(/é\.conflict-19700101T000000Z-mps3-f{8}\.json$/)
})
