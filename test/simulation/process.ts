import type { Clock, FileSystem, ReadFile, WriteFile } from '../../src/platform/ports.ts'
import { systemError } from '../../src/platform/native.ts'
import type { Database, Value } from '../../src/platform/sqlite.ts'
import type { Columns } from '../../src/sync/state/encode.ts'
import type { Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import type { Scheduler } from './scheduler.ts'
import { situationOf } from './table.ts'

/** Something that happens at an effect of a running process. */
export type Trap =
  /** The process dies: `done` tells whether the effect still happens. */
  | { readonly type: 'kill'; readonly done: boolean; readonly power: boolean }
  /** The effect fails with an error that its contract allows. */
  | { readonly type: 'error' }
  /** Somebody else acts in the instant before the effect. */
  | { readonly type: 'act'; readonly act: () => void }

/** Looks and writes alike, or what changes a disk, the trees or the bucket. */
export type Among = 'effects' | 'writes'

/** One run of a program, from its start to its end or death. */
export interface Process {
  readonly fs: FileSystem
  readonly db: Database
  readonly clock: Clock
  alive(): boolean
  kill(): void
  /** Whether it died with the power. */
  lostPower(): boolean
  /** How often it did something that changes a disk or the bucket. */
  writes(): readonly string[]
  /** Springs at the `at`th effect from now, or at the `at`th that changes something durable. */
  arm(at: number, among: Among, trap: Trap): void
  /** What has not sprung. */
  disarm(): readonly Trap[]
  /** Throws when the process is dead. */
  check(): void
  /** Where the scheduler may let others go first. */
  turn(): Promise<void>
  /** Does something that others can see. */
  effect<T>(name: string, act: () => T): T
}

export interface ProcessOptions {
  readonly fs: FileSystem
  readonly db: Database
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly coverage: Coverage
  /** Milliseconds that the clock on the wall is ahead. */
  readonly skew: () => number
}

export class Killed extends Error {}

/** What each call may say, whatever the disk. */
const ERRORS: Readonly<Record<string, readonly string[]>> = {
  lstat: ['EACCES', 'EIO'],
  list: ['EACCES', 'EIO', 'EMFILE'],
  mkdir: ['ENOSPC', 'EACCES', 'EROFS'],
  rmdir: ['EACCES', 'EBUSY', 'EIO'],
  unlink: ['EACCES', 'EBUSY', 'EIO'],
  rename: ['EACCES', 'ENOSPC', 'EIO'],
  renameNew: ['EACCES', 'ENOSPC', 'EIO', 'EBUSY'],
  exchange: ['EACCES', 'EIO', 'EBUSY'],
  link: ['EMLINK', 'EPERM', 'ENOSPC'],
  chmod: ['EPERM', 'EROFS'],
  setModified: ['EPERM', 'EROFS'],
  readSmall: ['EACCES', 'EIO'],
  open: ['EACCES', 'EMFILE', 'EIO'],
  create: ['ENOSPC', 'EMFILE', 'EACCES'],
  copy: ['ENOSPC', 'EIO'],
  openFolder: ['EMFILE', 'EACCES'],
  syncFolder: ['EIO'],
  syncGroup: ['EIO', 'ENOSPC'],
  read: ['EIO'],
  write: ['ENOSPC', 'EIO', 'EDQUOT'],
  sync: ['EIO', 'ENOSPC'],
  commit: ['SQLITE_FULL', 'SQLITE_IOERR'],
}
const WRITES = new Set(
  'mkdir,rmdir,unlink,rename,renameNew,exchange,link,chmod,setModified,create,copy,write,stage,commit to server,syncGroup,syncFolder,sync'.split(
    ',',
  ),
)
const SQLITE_CODES: Readonly<Record<string, number>> = { SQLITE_FULL: 13, SQLITE_IOERR: 10 }
const STEP_NS = 4_000_000

export function openProcess(options: ProcessOptions): Process {
  const { chance, scheduler, coverage, skew } = options
  let alive = true
  const counts = { effects: 0, writes: 0 }
  let power = false
  const writes: string[] = []
  let traps: { at: number; among: Among; trap: Trap }[] = []

  const check = (): void => {
    if (!alive) throw new Killed('the process is dead')
  }
  const errorOf = (name: string): Error | null => {
    const codes = ERRORS[name]
    if (codes === undefined) return null
    const code = chance.pick(codes)
    coverage.count(`fault: ${name} says ${code}`)
    const errcode = SQLITE_CODES[code]
    if (errcode === undefined) return systemError(code, name, '(injected)')
    return Object.assign(new Error(`${code} (injected)`), { code: 'ERR_SQLITE_ERROR', errcode })
  }
  const effect = <T>(name: string, act: () => T): T => {
    check()
    counts.effects++
    if (WRITES.has(name) || name === 'commit') counts.writes++
    let dies: boolean | null = null
    let error: Error | null = null
    for (const { trap } of traps.filter(({ at, among }) => at <= counts[among])) {
      if (trap.type === 'act') trap.act()
      else if (trap.type === 'kill') {
        dies = trap.done
        power = trap.power
      } else error = errorOf(name)
    }
    traps = traps.filter(({ at, among }) => at > counts[among])
    if (dies === false) {
      alive = false
      coverage.count(`kill: before ${name}`)
    }
    check()
    if (error !== null) throw error
    const result = act()
    if (WRITES.has(name) && !name.startsWith('sync')) writes.push(name)
    if (dies === null) return result
    alive = false
    coverage.count(`kill: after ${name}`)
    if (result instanceof Promise) result.catch(() => undefined)
    throw new Killed('the process is dead')
  }
  const turn = async (): Promise<void> => {
    check()
    await scheduler.turn()
    check()
  }
  const ports = { check, effect, maybe: async () => (chance.often(0.1) ? turn() : undefined) }
  return {
    fs: watchedFileSystem(options.fs, ports),
    db: watchedDatabase(options.db, ports, (row) => coverage.count(situationOf(row))),
    clock: {
      now: () => wallTime(scheduler, skew()),
      elapsed: () => scheduler.elapsed(),
      sleep: async (milliseconds, signal) => {
        check()
        await scheduler.sleep(milliseconds, signal)
        check()
      },
    },
    alive: () => alive,
    kill: () => void (alive = false),
    lostPower: () => power,
    writes: () => writes,
    arm: (at, among, trap) => void traps.push({ at: counts[among] + at, among, trap }),
    disarm: () => {
      const left = traps.map(({ trap }) => trap)
      traps = []
      return left
    },
    check,
    turn,
    effect,
  }
}

/** Where the simulated time begins. */
const EPOCH = Date.UTC(2026, 0, 1)

export function wallTime(scheduler: Scheduler, skew: number): number {
  return EPOCH + Math.floor(scheduler.elapsed()) + skew
}

/** As a kernel stamps files: in ticks. */
export function stamp(scheduler: Scheduler, skew: number): bigint {
  const time = BigInt(wallTime(scheduler, skew)) * 1_000_000n
  return time - (time % BigInt(STEP_NS))
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
    open: async (path) => reading(await soon('open', () => fs.open(path))),
    create: async (path, mode) => writing(await soon('create', () => fs.create(path, mode))),
    copy: (from, to) => soon('copy', () => fs.copy(from, to)),
    openFolder: (path) => effect('openFolder', () => fs.openFolder(path)),
    syncFolder: (path) => effect('syncFolder', () => fs.syncFolder(path)),
    syncGroup: (path, files) => soon('syncGroup', () => fs.syncGroup(path, files)),
  }
}

/** SQLite is cut where a transaction ends; what lies below is its own affair. */
function watchedDatabase(db: Database, { check, effect }: Watching, tell: (row: Columns) => void): Database {
  return {
    ...db,
    exec: (sql) => {
      if (sql === 'ROLLBACK') return db.exec(sql)
      if (sql === 'COMMIT') return effect('commit', () => db.exec(sql))
      check()
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
