import { systemError } from '../../src/platform/native.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import type { Clock } from '../../src/platform/ports.ts'
import type { Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import type { Scheduler } from './scheduler.ts'

/** Something that happens at an effect of a running process. */
export type Trap =
  /** The process dies: `done` tells whether the effect still happens. */
  | { readonly type: 'kill'; readonly done: boolean; readonly power: boolean }
  /** The effect fails with an error that its contract allows. */
  | { readonly type: 'error' }
  /** Somebody else acts in the instant before the effect. */
  | { readonly type: 'act'; readonly act: () => void }

/** `effects`: looks and writes alike; `writes`: what changes a disk, the trees or the bucket; else the name of a call. */
export type Among = string

/** One run of a program, from its start to its end or death. A dead one does nothing any more: what it waits for never comes. */
export interface Life {
  readonly clock: Clock
  alive(): boolean
  kill(power?: boolean): void
  /** Resolves when it dies. */
  readonly death: Promise<void>
  /** Whether it died with the power. */
  lostPower(): boolean
  /** How often it did something that changes a disk or the bucket. */
  writes(): readonly string[]
  /** Springs at the `at`th effect of this kind from now. */
  arm(at: number, among: Among, trap: Trap): void
  /** What has not sprung. */
  disarm(): readonly Trap[]
  /** Throws when it is dead. */
  check(): void
  /** Where the scheduler may let others go first. */
  turn(): Promise<void>
  /** Does something that others can see. */
  effect<T>(name: string, act: () => T): T
}

export interface LifeOptions {
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly coverage: Coverage
  /** Milliseconds that the clock on the wall is ahead. */
  readonly skew: () => number
  /** Put before the names of its faults. */
  readonly whose?: string
}

const NO_TRAPS: readonly Trap[] = []

export class Killed extends Error {}

const ANSWERS = ['Unavailable', 'Unauthenticated', 'QuotaExceeded', 'Forbidden'] as const

function isAnswer(code: string): code is (typeof ANSWERS)[number] {
  return ANSWERS.some((one) => one === code)
}

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
  head: ['Unavailable'],
  get: ['Unavailable', 'Unauthenticated'],
  listing: ['Unavailable', 'Unauthenticated'],
  missing: ['Unavailable', 'Forbidden'],
  stage: ['Unavailable', 'QuotaExceeded', 'Forbidden'],
  'commit to server': ['Unavailable', 'QuotaExceeded', 'Forbidden', 'Unauthenticated'],
  'make folder': ['ENOSPC', 'EACCES'],
  'make file': ['ENOSPC', 'EACCES', 'EMFILE'],
  'open pack': ['EMFILE', 'EACCES', 'EIO'],
  'read pack': ['EIO'],
  'write pack': ['ENOSPC', 'EIO', 'EDQUOT'],
  'sync pack': ['EIO', 'ENOSPC'],
  'truncate pack': ['EIO'],
  'open note': ['EMFILE', 'EACCES'],
  'write note': ['ENOSPC', 'EIO'],
}
/** Calls that may fail. */
export const FALLIBLE: ReadonlySet<string> = new Set(Object.keys(ERRORS))
const WRITES = new Set(
  'append,put,make file,remove,write pack,sync pack,truncate pack,write note,mkdir,rmdir,unlink,rename,renameNew,exchange,link,chmod,setModified,create,copy,write,stage,commit to server,syncGroup,syncFolder,sync'.split(
    ',',
  ),
)
const SQLITE_CODES: Readonly<Record<string, number>> = { SQLITE_FULL: 13, SQLITE_IOERR: 10 }

export function openLife(options: LifeOptions): Life {
  const { chance, scheduler, coverage, skew, whose = '' } = options
  let alive = true
  const counts = new Map<Among, number>()
  let power = false
  const writes: string[] = []
  let traps: { at: number; among: Among; trap: Trap }[] = []
  const death = Promise.withResolvers<void>()

  const isAlive = (): boolean => alive
  const die = (withPower: boolean): void => {
    if (!alive) return
    alive = false
    power = withPower
    death.resolve()
  }
  const check = (): void => {
    if (!alive) throw new Killed('the process is dead')
  }
  const errorOf = (name: string): Error | null => {
    const codes = ERRORS[name]
    if (codes === undefined) return null
    const code = chance.pick(codes)
    coverage.count(`fault: ${whose}${name} says ${code}`)
    if (isAnswer(code)) return new BlobsError(code, `${name} says ${code} (injected)`)
    const errcode = SQLITE_CODES[code]
    if (errcode === undefined) return systemError(code, name, '(injected)')
    return Object.assign(new Error(`${code} (injected)`), { code: 'ERR_SQLITE_ERROR', errcode })
  }
  const countOf = (among: Among): number => counts.get(among) ?? 0
  const tick = (among: Among): void => void counts.set(among, countOf(among) + 1)
  const due = (): readonly Trap[] => {
    if (traps.length === 0) return NO_TRAPS
    const sprung = traps.filter(({ at, among }) => at <= countOf(among))
    if (sprung.length > 0) traps = traps.filter(({ at, among }) => at > countOf(among))
    return sprung.map(({ trap }) => trap)
  }
  const effect = <T>(name: string, act: () => T): T => {
    check()
    tick('effects')
    tick(name)
    if (WRITES.has(name) || name === 'commit') tick('writes')
    let dies: Extract<Trap, { readonly type: 'kill' }> | null = null
    let error: Error | null = null
    for (const trap of due()) {
      if (trap.type === 'act') trap.act()
      else if (trap.type === 'kill') dies = trap
      else error = errorOf(name)
    }
    if (dies?.done === false) {
      die(dies.power)
      coverage.count(`kill: ${whose}before ${name}`)
    }
    check()
    if (error !== null) throw error
    const result = act()
    if (WRITES.has(name) && !name.startsWith('sync')) writes.push(name)
    if (dies === null) return result
    die(dies.power)
    coverage.count(`kill: ${whose}after ${name}`)
    if (result instanceof Promise) result.catch(() => undefined)
    throw new Killed('the process is dead')
  }
  const turn = (): Promise<void> => (alive ? scheduler.turn(isAlive) : NEVER)
  return {
    clock: {
      now: () => wallTime(scheduler, skew()),
      elapsed: () => scheduler.elapsed(),
      sleep: (milliseconds, signal) => (alive ? scheduler.sleep(milliseconds, signal, isAlive) : NEVER),
    },
    alive: isAlive,
    kill: (withPower = false) => die(withPower),
    death: death.promise,
    lostPower: () => power,
    writes: () => writes,
    arm: (at, among, trap) => void traps.push({ at: countOf(among) + at, among, trap }),
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

const NEVER = new Promise<void>(() => undefined)
const STEP_NS = 4_000_000

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
