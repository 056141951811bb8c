import { expect, test } from 'vitest'
import { openDatabase } from '../../../src/platform/sqlite.ts'
import { migrate } from '../../../src/sync/state/schema.ts'

test('trees of the first format are brought up and keep what they hold', () => {
  const db = openDatabase(':memory:', { synchronous: 'normal' })
  expect(migrate(db)).toBeNull()
  db.exec('DROP TABLE placing; DROP TABLE unread; PRAGMA user_version = 1')
  db.run(`INSERT INTO meta VALUES ('cursor', 'somewhere')`)
  expect(migrate(db)).toBeNull()
  expect(db.all('SELECT * FROM placing')).toEqual([])
  expect(db.all('SELECT * FROM unread')).toEqual([])
  expect(db.all('SELECT value FROM meta')).toEqual([{ value: 'somewhere' }])
  expect(migrate(db)).toBeNull()
  db.exec('PRAGMA user_version = 99')
  expect(migrate(db)).toBe('newer')
  db.close()
})
