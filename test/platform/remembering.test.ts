import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase, remembering, transact, type Database } from '../../src/platform/sqlite.ts'
import { systemClock } from '../../src/platform/system.ts'

describe('what is remembered of a database', () => {
  let folder: string
  let db: Database
  let other: Database
  let looks: number
  let count: () => number

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'blobs-remembering-'))
    db = openDatabase(join(folder, 'one.db'), { synchronous: 'normal' })
    db.exec('CREATE TABLE numbers (n INTEGER)')
    other = openDatabase(join(folder, 'one.db'), { synchronous: 'normal' })
    looks = 0
    count = remembering(db, () => {
      looks++
      return db.get<{ n: number }>('SELECT count(*) AS n FROM numbers')?.n ?? 0
    })
  })
  afterEach(() => {
    db.close()
    other.close()
    rmSync(folder, { recursive: true })
  })

  it('is looked for once while nobody writes', () => {
    expect([count(), count(), count()]).toEqual([0, 0, 0])
    expect(looks).toBe(1)
  })

  it('is looked for again after this or another connection wrote', () => {
    expect(count()).toBe(0)
    db.run('INSERT INTO numbers VALUES (1)')
    expect(count()).toBe(1)
    other.run('INSERT INTO numbers VALUES (2)')
    expect(count()).toBe(2)
    expect(looks).toBe(3)
  })

  it('is what was there before a transaction that was taken back, also if it was looked for within', async () => {
    const failing = transact(db, systemClock, () => {
      db.run('INSERT INTO numbers VALUES (1)')
      expect(count()).toBe(1)
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(count()).toBe(0)
  })

  it('is of the state that a transaction reads, whatever others write meanwhile', () => {
    db.exec('BEGIN')
    expect(count()).toBe(0)
    other.run('INSERT INTO numbers VALUES (2)')
    expect(count()).toBe(0)
    db.exec('COMMIT')
    expect(count()).toBe(1)
  })
})
