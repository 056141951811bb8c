import { describe, expect, test } from 'vitest'
import { openSearch } from './search.ts'
import type { Observation } from './spec.ts'

function isExplained(devices: number, observed: readonly Observation[]): boolean {
  const search = openSearch(devices)
  for (const each of observed) search.see(each)
  return search.isExplained()
}

function read(device: number, found: string | null): Observation {
  return { type: 'read', device, found }
}
function write(device: number, value: string | null, found: string | null): Observation {
  return { type: 'write', device, value, found, inPlace: false }
}
function stable(value: string | null, devices: number, ...conflicts: string[]): Observation {
  return { type: 'stable', shown: Array.from({ length: devices }, () => value), conflicts }
}
function kill(device: number, lost = false): Observation {
  return { type: 'kill', device, lost }
}

describe('the model explains', () => {
  test.each<[string, Observation[]]>([
    ['a save that arrives', [write(0, 'a', null), read(1, 'a'), stable('a', 2)]],
    ['a save that has not arrived yet', [write(0, 'a', null), read(1, null), stable('a', 2)]],
    ['two saves at once, one of them kept beside', [write(0, 'a', null), write(1, 'b', null), stable('a', 2, 'b')]],
    ['two saves at once, the other way', [write(0, 'a', null), write(1, 'b', null), stable('b', 2, 'a')]],
    ['the same saved on both', [write(0, 'a', null), write(1, 'a', null), stable('a', 2)]],
    [
      'an edit against a deletion',
      [write(0, 'a', null), read(1, 'a'), write(0, null, 'a'), write(1, 'b', 'a'), stable('b', 2)],
    ],
    ['a save that was overwritten before it was seen', [write(0, 'a', null), write(0, 'b', 'a'), stable('b', 2)]],
    [
      'a save in the middle of a conflict',
      [write(0, 'a', null), write(1, 'b', null), write(1, 'c', 'b'), stable('a', 2, 'b', 'c')],
    ],
    ['a kill before the record', [write(0, 'a', null), read(1, 'a'), kill(1), write(0, 'b', 'a'), stable('b', 2)]],
    [
      'lost memory: a deletion comes back',
      [write(0, 'a', null), read(1, 'a'), write(1, null, 'a'), kill(1, true), stable('a', 2)],
    ],
  ])('%s', (_name, observed) => {
    expect(isExplained(2, observed)).toBe(true)
  })
})

describe('the model does not explain', () => {
  test.each<[string, Observation[]]>([
    ['a value from nowhere', [write(0, 'a', null), read(1, 'b')]],
    ['a save that is lost', [write(0, 'a', null), write(1, 'b', null), stable('a', 2)]],
    ['a conflict of equal values', [write(0, 'a', null), write(1, 'a', null), stable('a', 2, 'a')]],
    [
      'a conflict copy of what is missing',
      [write(0, 'a', null), read(1, 'a'), write(0, null, 'a'), stable(null, 2, 'a')],
    ],
    ['a conflict with one writer', [write(0, 'a', null), read(1, 'a'), write(0, 'b', 'a'), stable('b', 2, 'a')]],
    [
      'a deletion that wins over an edit',
      [write(0, 'a', null), read(1, 'a'), write(0, null, 'a'), write(1, 'b', 'a'), stable(null, 2)],
    ],
    ['a deletion that nobody made', [write(0, 'a', null), read(1, 'a'), read(0, null)]],
    [
      'devices that do not agree when all is quiet',
      [write(0, 'a', null), { type: 'stable', shown: ['a', null], conflicts: [] }],
    ],
    [
      'a kill that brings an old value back',
      [write(0, 'a', null), read(1, 'a'), write(0, 'b', 'a'), kill(1), stable('a', 2)],
    ],
    [
      'a file that goes back to an old value',
      [write(0, 'a', null), read(1, 'a'), write(0, 'b', 'a'), read(1, 'b'), read(1, 'a')],
    ],
  ])('%s', (_name, observed) => {
    expect(isExplained(2, observed)).toBe(false)
  })
})
