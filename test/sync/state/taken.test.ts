import { afterEach, beforeEach, expect, test } from 'vitest'
import { openDatabase, type Database } from '../../../src/platform/sqlite.ts'
import { migrate } from '../../../src/sync/state/schema.ts'
import { applyTaken, type Taken } from '../../../src/sync/state/remote.ts'

let db: Database
beforeEach(() => {
  db = openDatabase(':memory:', { synchronous: 'normal' })
  migrate(db)
})
afterEach(() => db.close())

const DELETED: Taken = {
  path: 'a/b',
  content: null,
  item: { path: 'a/b', content: null, version: 4, entry: 'entry' },
  at: null,
}

function given(local: 'f' | null, remoteVersion: number): void {
  db.run(
    `INSERT INTO paths (parent, name, b_kind, b_version, l_kind, r_kind, r_version) VALUES ('a/', 'b', 'f', 3, ?, 'f', ?)`,
    local,
    remoteVersion,
  )
}

function known(): unknown[] {
  return db.all('SELECT b_kind, b_version, l_kind, r_kind, r_version FROM paths')
}

test('of a delete that the bucket took nothing is left, where nothing is on disk', () => {
  given(null, 3)
  applyTaken(db, [DELETED], () => false)
  expect(known()).toEqual([])
})

test('what came to the name meanwhile is as new, on disk', () => {
  given('f', 3)
  applyTaken(db, [DELETED], () => false)
  expect(known()).toEqual([{ b_kind: null, b_version: null, l_kind: 'f', r_kind: 'x', r_version: 4 }])
})

test('and in the bucket', () => {
  given(null, 5)
  applyTaken(db, [DELETED], () => false)
  expect(known()).toEqual([{ b_kind: null, b_version: null, l_kind: null, r_kind: 'f', r_version: 5 }])
})

test('a delete of what is not known any more is fine', () => {
  applyTaken(db, [DELETED], () => false)
  expect(known()).toEqual([])
})
