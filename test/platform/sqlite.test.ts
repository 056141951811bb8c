import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/platform/ports.ts'
import { openDatabase, patiently, sqliteProblem, transact, tryLock, type Database } from '../../src/platform/sqlite.ts'
import { systemClock } from '../../src/platform/system.ts'

let directory: string
let opened: Database[]

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'blobs-sqlite-'))
  opened = []
})
afterEach(() => {
  for (const db of opened) db.close()
  rmSync(directory, { recursive: true })
})

function open(name = 'a.db'): Database {
  const db = openDatabase(join(directory, name), { synchronous: 'full' })
  opened.push(db)
  return db
}

/** A clock whose sleeps take no time but are counted. */
function fastClock(): Clock {
  let now = 0
  const sleep = async (milliseconds: number): Promise<void> => {
    now += milliseconds
  }
  return { now: () => now, elapsed: () => now, sleep }
}

describe('a database', () => {
  test('writes ahead, waits for no lock, and syncs as asked', () => {
    expect(open().get('PRAGMA journal_mode')).toEqual({ journal_mode: 'wal' })
    expect(open().get('PRAGMA busy_timeout')).toEqual({ timeout: 0 })
    expect(open().get('PRAGMA synchronous')).toEqual({ synchronous: 2 })
    const normal = openDatabase(join(directory, 'b.db'), { synchronous: 'normal' })
    expect(normal.get('PRAGMA synchronous')).toEqual({ synchronous: 1 })
    normal.close()
  })
  test('gives rows, counts and ids', () => {
    const db = open()
    db.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, x)')
    expect(db.run('INSERT INTO t (x) VALUES (?), (?)', 'a', 'b')).toEqual({ changes: 2, rowid: 2 })
    expect(db.get('SELECT x FROM t WHERE id = ?', 1)).toEqual({ x: 'a' })
    expect(db.get('SELECT x FROM t WHERE id = ?', 9)).toBeUndefined()
    expect(db.all('SELECT x FROM t ORDER BY id')).toEqual([{ x: 'a' }, { x: 'b' }])
    for (const row of db.iterate<{ x: string }>('SELECT x FROM t ORDER BY id')) {
      expect(row.x).toBe('a')
      break
    }
    expect(db.run('DELETE FROM t').changes).toBe(2)
  })
  test('tells that another connection has committed, and only then', () => {
    const [a, b] = [open(), open()]
    a.exec('CREATE TABLE t (x)')
    const before = a.dataVersion()
    a.run('INSERT INTO t VALUES (1)')
    expect(a.dataVersion()).toBe(before)
    b.run('INSERT INTO t VALUES (2)')
    expect(a.dataVersion()).not.toBe(before)
  })
  test('names what SQLite complains about', () => {
    writeFileSync(join(directory, 'a.db'), 'not a database'.repeat(100))
    const problem = (act: () => unknown): unknown => {
      try {
        return act()
      } catch (error) {
        return sqliteProblem(error)
      }
    }
    expect(problem(open)).toBe('corrupt')
    expect(problem(() => open('missing/b.db'))).toBe('cannot-open')
    expect(problem(() => open('c.db').exec('SELEC'))).toBe('other')
    expect(sqliteProblem(new Error('mine'))).toBeNull()
  })
})

describe('a transaction', () => {
  test('happens whole, or is rolled back when it throws', async () => {
    const db = open()
    db.exec('CREATE TABLE t (x)')
    expect(await transact(db, systemClock, () => db.run('INSERT INTO t VALUES (1)').changes)).toBe(1)
    const failing = transact(db, systemClock, () => {
      db.run('INSERT INTO t VALUES (2)')
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(db.inTransaction()).toBe(false)
    expect(db.all('SELECT x FROM t')).toEqual([{ x: 1 }])
  })
  test('waits while another holds the lock, and lets the process go on', async () => {
    const [a, b] = [open(), open()]
    a.exec('CREATE TABLE t (x); BEGIN IMMEDIATE')
    let turns = 0
    const waiting = transact(b, systemClock, () => b.run('INSERT INTO t VALUES (1)'))
    while (turns < 5) turns += await systemClock.sleep(5).then(() => 1)
    a.exec('COMMIT')
    await waiting
    expect(a.all('SELECT x FROM t')).toEqual([{ x: 1 }])
  })
  test('gives up after 30 s, saying that it is locked', async () => {
    const [a, b] = [open(), open()]
    a.exec('BEGIN IMMEDIATE')
    const clock = fastClock()
    await expect(transact(b, clock, () => undefined)).rejects.toMatchObject({ code: 'SQLITE_BUSY' })
    expect(clock.elapsed()).toBeGreaterThan(30_000)
    expect(clock.elapsed()).toBeLessThan(31_000)
  })
  test('patience is for locks only', async () => {
    const failing = patiently(fastClock(), () => {
      throw new Error('other')
    })
    await expect(failing).rejects.toThrow('other')
  })
})

describe('a lock', () => {
  test('has one holder, and is free again when it is released', () => {
    const path = join(directory, 'lock')
    const release = tryLock(path)
    expect(tryLock(path)).toBeNull()
    release?.()
    const again = tryLock(path)
    expect(again).not.toBeNull()
    again?.()
    expect(readdirSync(directory)).toEqual(['lock'])
    expect(statSync(path).size).toBe(0)
  })
  test('is freed by the system when its holder is killed', async () => {
    const path = join(directory, 'lock')
    const module = new URL('../../src/platform/sqlite.ts', import.meta.url).href
    const code = `import { tryLock } from ${JSON.stringify(module)}; console.log(tryLock(${JSON.stringify(path)}) !== null); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
    expect(String((await once(child.stdout, 'data'))[0])).toBe('true\n')
    expect(tryLock(path)).toBeNull()
    child.kill('SIGKILL')
    await once(child, 'close')
    const release = tryLock(path)
    expect(release).not.toBeNull()
    release?.()
  })
})
