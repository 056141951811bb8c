import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { faultsIn, type History, type Operation } from '../../scripts/chaos/history.ts'

function operation(
  kind: Operation['kind'],
  version: number,
  [began, ended]: readonly [number, number],
  { stale = false, entry = version === 0 ? '' : `e${version}` } = {},
): Operation {
  return { client: 'ann', key: 'k', kind, version, entry, began, ended, stale }
}
const history = (
  operations: readonly Operation[],
  chain = ['e1', 'e2', 'e3'],
  unknown: History['unknown'] = [],
): History => ({
  operations,
  unknown,
  chains: new Map([['k', chain]]),
})
const three = [operation('write', 1, [0, 1]), operation('write', 2, [2, 5]), operation('write', 3, [6, 7])]

describe('the history of a key', () => {
  it.each<readonly [string, History]>([
    ['one after the other', history([...three, operation('read', 0, [-2, -1]), operation('read', 2, [5, 6])])],
    [
      'a read beside a write sees the one or the other',
      history([...three, operation('read', 1, [2, 4]), operation('read', 2, [3, 4])]),
    ],
    [
      'a write that nobody knows of, long after',
      history([...three.slice(0, 2), operation('read', 2, [6, 7]), operation('read', 3, [9, 9])], undefined, [
        { key: 'k', entry: 'e3', began: 3 },
      ]),
    ],
    ['a write that nobody knows of, which never was', history(three, undefined, [{ key: 'k', entry: 'e9', began: 3 }])],
    ['a stale read that says so', history([...three, operation('read', 1, [10, 11], { stale: true })])],
  ])('is explained: %s', (_name, good) => {
    expect(faultsIn(good)).toEqual([])
  })

  it.each<readonly [string, History, RegExp]>([
    ['a lost write', history(three, ['e1', 'e2']), /no such version/],
    [
      'a version that was given twice',
      history([...three, operation('write', 3, [8, 9], { entry: 'other' })]),
      /is of e3/,
    ],
    ['a version of nobody', history(three.slice(0, 2)), /nobody wrote e3/],
    ['an entry that was done twice', history(three, ['e1', 'e2', 'e3', 'e3']), /two versions/],
    [
      'a stale read that does not say so',
      history([...three, operation('read', 2, [8, 9])]),
      /before this began: .*version 2/,
    ],
    [
      'a read that went back',
      history([...three, operation('read', 2, [2, 3]), operation('read', 1, [4, 5])]),
      /before this began/,
    ],
    ['absence after a write', history([...three, operation('read', 0, [2, 3])]), /version 0/],
    [
      'writes in another order than they were made',
      history([operation('write', 1, [5, 6]), operation('write', 2, [1, 2])], ['e1', 'e2']),
      /before this began/,
    ],
    ['a read of the future', history([...three, operation('read', 3, [4, 5])]), /not begun yet/],
    [
      'a stale read of what never was',
      history([...three, operation('read', 2, [8, 9], { stale: true, entry: 'x' })]),
      /is of e2/,
    ],
  ])('is not: %s', (_name, bad, why) => {
    expect(faultsIn(bad).join('\n')).toMatch(why)
  })

  it('is judged as by trying every order', () => {
    const times = fc.tuple(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 4 }))
    const spans = times.map(([from, length]): readonly [number, number] => [from, from + length])
    const reads = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), spans), { maxLength: 4 })
    let explained = 0
    fc.assert(
      fc.property(spans, spans, reads, (one, two, seen) => {
        const writes = [operation('write', 1, one), operation('write', 2, two)]
        const all = [...writes, ...seen.map(([version, span]) => operation('read', version, span))]
        const good = isExplained(all, 0, Number.NEGATIVE_INFINITY)
        explained += Number(good)
        expect(faultsIn(history(all, ['e1', 'e2'])).length === 0).toBe(good)
      }),
      { numRuns: 2000 },
    )
    expect(explained).toBeGreaterThan(50)
  })
})

/** Takes them in every order that is possible, each at the first moment that it can have. */
function isExplained(left: readonly Operation[], version: number, time: number): boolean {
  if (left.length === 0) return true
  return left.some((one) => {
    const next = one.kind === 'write' ? version + 1 : version
    const moment = Math.max(time, one.began)
    if (one.version !== next || moment > one.ended) return false
    return isExplained(
      left.filter((other) => other !== one),
      next,
      moment,
    )
  })
}
