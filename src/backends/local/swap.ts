import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { syncPath } from '../../platform/private-files.ts'
import type { StorePaths } from './store-file.ts'

/**
 * What a repair has made: the new store.db, and the plan of how it takes the old one's place. The folder gets its name when all in it is
 * durable; from then on the store is the new one, and whoever comes first does what is left to do.
 */
const REPAIRED = 'repaired'
const DATABASE = 'store.db'
const PLAN = 'plan.json'
/** The WAL first: it must never be read together with the new database. */
const OLD_FILES = ['store.db-wal', 'store.db-shm', 'store.db']

interface Plan {
  /** Folder in the store for what is replaced. */
  readonly aside: string
  /** Files in `packs/` that the new database does not name. */
  readonly packs: readonly string[]
}

export function isRepaired({ disk, directory }: StorePaths): boolean {
  return disk.size(join(directory, REPAIRED)) !== null
}

/** Makes `work`, a folder in the store with a whole new store.db in it, what the store is. */
export function decideRepair(directory: string, work: string, plan: Plan): void {
  writeFileSync(join(work, PLAN), JSON.stringify(plan), { mode: 0o600, flush: true })
  syncPath(join(work, DATABASE))
  syncPath(work)
  renameSync(work, join(directory, REPAIRED))
  syncPath(directory)
}

/** Puts the old files aside and the new one in their place; for who holds the store alone. Goes on where another one was cut short. */
export function finishRepair(directory: string): void {
  const repaired = join(directory, REPAIRED)
  const database = join(repaired, DATABASE)
  const path = join(repaired, PLAN)
  if (existsSync(path)) {
    const { aside, packs } = JSON.parse(readFileSync(path, 'utf8')) as Plan
    const kept = join(directory, aside)
    mkdirSync(join(kept, 'packs'), { recursive: true, mode: 0o700 })
    if (existsSync(database)) {
      for (const name of OLD_FILES) move(join(directory, name), join(kept, name))
      for (const name of packs) move(join(directory, 'packs', name), join(kept, 'packs', name))
      for (const name of readdirSync(join(directory, 'heads'))) rmSync(join(directory, 'heads', name))
      for (const name of readdirSync(join(directory, 'views'))) rmSync(join(directory, 'views', name))
      for (const folder of [join(kept, 'packs'), kept, join(directory, 'packs'), directory]) syncPath(folder)
      renameSync(database, join(directory, DATABASE))
      syncPath(directory)
    }
    unlinkSync(path)
  }
  rmdirSync(repaired)
  syncPath(directory)
}

function move(from: string, to: string): void {
  if (existsSync(from)) renameSync(from, to)
}
