import type { FileSystem, ReadFile, WriteFile } from '../../src/platform/ports.ts'
import type { Database, Value } from '../../src/platform/sqlite.ts'
import type { Columns } from '../../src/sync/state/encode.ts'
import { openLife, type Life, type LifeOptions } from './life.ts'
import { situationOf } from './table.ts'

/** A run of an agent. */
export interface Process extends Life {
  readonly fs: FileSystem
  readonly db: Database
}

export interface ProcessOptions extends LifeOptions {
  readonly fs: FileSystem
  readonly db: Database
}

export function openProcess(options: ProcessOptions): Process {
  const { chance, coverage } = options
  const life = openLife(options)
  const { check, effect } = life
  const maybe = async (): Promise<void> => (chance.often(0.1) ? life.turn() : undefined)
  return {
    ...life,
    fs: watchedFileSystem(options.fs, { check, effect, maybe }),
    db: watchedDatabase(options.db, { check, effect }, (row) => coverage.count(situationOf(row))),
  }
}

interface Watching {
  readonly check: () => void
  readonly effect: <T>(name: string, act: () => T) => T
  readonly maybe: () => Promise<void>
}

function watchedFileSystem(fs: FileSystem, { check, effect, maybe }: Watching): FileSystem {
  const soon = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
    await maybe()
    return effect(name, act)
  }
  const reading = (file: ReadFile): ReadFile => ({
    stat: () => (check(), file.stat()),
    openForWriting: () => (check(), file.openForWriting()),
    read: (buffer, position) => soon('read', () => file.read(buffer, position)),
    close: () => file.close(),
  })
  const writing = (file: WriteFile): WriteFile => ({
    write: (bytes) => soon('write', () => file.write(bytes)),
    sync: () => soon('sync', () => file.sync()),
    stat: () => (check(), file.stat()),
    close: () => file.close(),
  })
  return {
    lstat: (path) => effect('lstat', () => fs.lstat(path)),
    realpath: (path) => (check(), fs.realpath(path)),
    isShared: () => false,
    list: (path) => effect('list', () => fs.list(path)),
    mkdir: (path, mode) => effect('mkdir', () => fs.mkdir(path, mode)),
    rmdir: (path) => effect('rmdir', () => fs.rmdir(path)),
    unlink: (path) => effect('unlink', () => fs.unlink(path)),
    rename: (from, to) => effect('rename', () => fs.rename(from, to)),
    renameNew: (from, to) => effect('renameNew', () => fs.renameNew(from, to)),
    exchange: (a, b) => effect('exchange', () => fs.exchange(a, b)),
    link: (from, to) => effect('link', () => fs.link(from, to)),
    chmod: (path, mode) => effect('chmod', () => fs.chmod(path, mode)),
    setModified: (path, time) => effect('setModified', () => fs.setModified(path, time)),
    readSmall: (path, limit) => effect('readSmall', () => fs.readSmall(path, limit)),
    writeSmall: (path, bytes, mode, time) => {
      effect('create', () => fs.writeSmall(path, bytes.subarray(0, bytes.byteLength >> 1), mode, null))
      fs.unlink(path)
      return effect('write', () => fs.writeSmall(path, bytes, mode, time))
    },
    open: async (path) => reading(await soon('open', () => fs.open(path))),
    create: async (path, mode) => writing(await soon('create', () => fs.create(path, mode))),
    copy: (from, to) => soon('copy', () => fs.copy(from, to)),
    openFolder: (path) => effect('openFolder', () => fs.openFolder(path)),
    syncFolder: (path) => effect('syncFolder', () => fs.syncFolder(path)),
    syncGroup: (path, files) => soon('syncGroup', () => fs.syncGroup(path, files)),
  }
}

/** SQLite is cut where a transaction ends; what lies below is its own affair. */
export function watchedDatabase(
  db: Database,
  { check, effect }: Pick<Watching, 'check' | 'effect'>,
  tell: (row: Columns) => void = () => undefined,
): Database {
  let reads = false
  return {
    ...db,
    exec: (sql) => {
      if (sql === 'ROLLBACK') return db.exec(sql)
      if (sql === 'COMMIT' && !reads) return effect('commit', () => db.exec(sql))
      check()
      reads = sql === 'BEGIN'
      db.exec(sql)
    },
    run: (sql, ...values) => {
      check()
      return db.inTransaction() ? db.run(sql, ...values) : effect('commit', () => db.run(sql, ...values))
    },
    get: (sql, ...values) => (check(), db.get(sql, ...values)),
    all: (sql, ...values) => (check(), db.all(sql, ...values)),
    iterate: <Row>(sql: string, ...values: Value[]) => {
      check()
      const rows = db.iterate<Row>(sql, ...values)
      return sql.includes('WHERE differs') ? tapped(rows, (row) => tell(row as Columns)) : rows
    },
  }
}

function* tapped<T>(items: Iterable<T>, tell: (item: T) => void): Generator<T, undefined> {
  for (const item of items) {
    tell(item)
    yield item
  }
}
