import { describe, expect, test } from 'vitest'
import { plan } from '../../../src/sync/core/plan.ts'
import {
  brake,
  census,
  deleteLimit,
  isBraked,
  lossOf,
  vanishedFolder,
  type Delete,
} from '../../../src/sync/core/safety.ts'
import type { Step } from '../../../src/sync/core/types.ts'
import { hashOf, row } from './rows.ts'

const gone = (path: string, movedTo?: string): Step => ({
  type: 'delete-remote',
  path,
  expect: { version: 1, hash: hashOf('A') },
  ...(movedTo === undefined ? {} : { movedTo }),
})
const many = (count: number, folder: string): Step[] =>
  Array.from({ length: count }, (_none, index) => gone(`${folder}${index}`))
const synced = (files: number, below: Record<string, number> = {}) => ({
  files,
  below: (folder: string): number => below[folder] ?? Infinity,
})

describe('how many deletions go without a yes', () => {
  test.each([
    ['nothing synced', 0, null, 20],
    ['few synced', 40, null, 20],
    ['a quarter of many', 1000, null, 250],
    ['a quarter, rounded down', 103, null, 25],
    ['a count of the user', 1000, { count: 3 }, 3],
    ['none at all', 1000, { count: 0 }, 0],
    ['a percentage of the user', 1000, { percent: 50 }, 500],
    ['all of them', 10, { percent: 100 }, 10],
  ])('%s: %s files, %o → %s', (_name, files, maxDelete, limit) => {
    expect(deleteLimit(files, maxDelete)).toBe(limit)
  })
})

test.each([
  ['20 of 30 files go', 20, 30, null],
  ['21 of 30 files wait', 21, 30, 'count'],
  ['250 of 1000 files go', 250, 1000, null],
  ['251 of 1000 files wait', 251, 1000, 'count'],
])('%s', (_name, deletes, files, rule) => {
  const { remote, local } = census(many(deletes, 'd/'))
  expect(brake('remote', remote, synced(files), null)?.rule ?? null).toBe(rule)
  expect(brake('local', local, synced(files), null)).toBeNull()
})

test('a folder of a hundred synced files that vanishes whole waits, however many there are elsewhere', () => {
  const { remote } = census(many(100, 'a/b/'))
  const facts = synced(100_000, { 'a/b': 100, a: 150 })
  expect(brake('remote', remote, facts, null)).toEqual({
    side: 'remote',
    rule: 'folder',
    deletes: 100,
    limit: 25_000,
    folder: 'a/b',
  })
  expect(brake('remote', remote, synced(100_000, { 'a/b': 101 }), null)).toBeNull()
  expect(brake('remote', census(many(99, 'a/b/')).remote, synced(100_000, { 'a/b': 99 }), null)).toBeNull()
})

test('the highest folder that vanishes is the one that is named', () => {
  const { remote } = census(many(100, 'a/b/'))
  expect(vanishedFolder(remote, synced(1000, { a: 100, 'a/b': 100 }))).toBe('a')
})

test('a limit that the user set replaces every rule', () => {
  const { remote } = census(many(100, 'a/'))
  const facts = synced(100, { a: 100, '': 100 })
  expect(brake('remote', remote, facts, { count: 100 })).toBeNull()
  expect(brake('remote', remote, facts, { count: 99 })?.rule).toBe('count')
  expect(brake('remote', remote, facts, { percent: Number.NaN })?.rule).toBe('count')
})

test('no deletions, no brake, even at a limit of none', () => {
  expect(brake('local', census([]).local, synced(10), { count: 0 })).toBeNull()
})

test('a folder that is renamed does not wait, one that is renamed in part does', () => {
  const moves = (count: number) =>
    Array.from({ length: 200 }, (_none, index) => gone(`old/${index}`, index < count ? `new/${index}` : undefined))
  const facts = synced(100_000, { old: 200 })
  expect(brake('remote', census(moves(200)).remote, facts, null)).toBeNull()
  expect(brake('remote', census(moves(100)).remote, facts, null)?.folder).toBe('old')
  expect(brake('remote', census(moves(101)).remote, facts, null)).toBeNull()
})

test('what a plan recognises as a rename is not counted', () => {
  const rows = Array.from({ length: 60 }, (_none, index) => [
    row(`old/${index}`, 'A@1 - A@1'),
    row(`new/${index}`, '- A -'),
  ])
  const made = plan(rows.flat())
  expect(made.remoteDeletes.length).toBe(60)
  expect(census(made.remoteDeletes).remote.deletes).toBe(0)
  expect(made.remoteDeletes.some(isBraked)).toBe(false)
})

test('empty folders and other steps are not counted', () => {
  const steps = plan([row('d/', '/@1 / †@2'), row('a', '- A -'), row('b', 'A@1 A †@2')])
  expect(census(Object.values(steps).flat() as Step[]).local.deletes).toBe(1)
})

test('a yes is for exactly what was lost: another version or other bytes need another', () => {
  const remote = (version: number, bytes: string): Delete => ({
    type: 'delete-remote',
    path: 'a',
    expect: { version, hash: hashOf(bytes) },
  })
  const local = (executable: boolean): Delete => ({
    type: 'delete-local',
    path: 'a',
    replaces: { kind: 'file', hash: hashOf('A'), size: 1, executable },
    base: null,
  })
  const losses = [remote(1, 'A'), remote(2, 'A'), remote(1, 'B'), local(false), local(true)].map(lossOf)
  expect(new Set(losses).size).toBe(5)
  expect(lossOf(remote(1, 'A'))).toBe(losses[0])
})
