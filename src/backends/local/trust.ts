import { join } from 'node:path'
import type { Clock } from '../../platform/ports.ts'
import { patiently, type Database } from '../../platform/sqlite.ts'
import { headProblem, readHeads } from './heads.ts'
import { packName } from './pack-format.ts'
import { damaged } from './problems.ts'
import type { StorePaths } from './store-file.ts'
import { packSum } from './sums.ts'

/** A database up to this size is read through before a server starts, in bytes: some tenths of a second. */
const AFFORDABLE = 256 * 1024 * 1024
/** Of a larger one, the tables without which nothing can be found. */
const VITAL = ['buckets', 'packs', 'log']

interface PackRow {
  readonly id: number
  readonly used: number | null
  readonly sum: number
}

/**
 * Throws `Corrupt` if the store lacks what its index names: a look at each pack's size, not at its bytes. `thorough` reads the database too,
 * and looks for what was acknowledged last in every log.
 * An unreadable file is Node's error.
 */
export async function checkTrust(paths: StorePaths, db: Database, clock: Clock, thorough: boolean): Promise<void> {
  const look = <T>(act: () => T): Promise<T> => patiently(clock, act)
  if (thorough) {
    const tables = (paths.disk.size(paths.database) ?? 0) <= AFFORDABLE ? [null] : VITAL
    for (const table of tables) {
      const problem = await look(() => quickCheck(db, table))
      if (problem !== null) throw damaged(paths.directory, `its database store.db does not pass a check: ${problem}`)
    }
    for (const { bucket, head } of readHeads(paths)) {
      const problem = await look(() => headProblem(db, bucket, head))
      if (problem !== null) throw damaged(paths.directory, problem)
    }
  }
  const packs = await look(() => db.all<PackRow>('SELECT id, used, sum FROM packs'))
  for (const row of packs) {
    const problem = packProblem(paths, row)
    if (problem === null) continue
    // It may have been deleted while we looked.
    const now = await look(() => db.get<PackRow>('SELECT id, used, sum FROM packs WHERE id = ?', row.id))
    if (now === undefined || packProblem(paths, now) !== null) throw damaged(paths.directory, problem)
  }
}

function quickCheck(db: Database, table: string | null): string | null {
  const argument = table === null ? '1' : `'${table}'`
  const answer = db.get<{ quick_check: string }>(`PRAGMA quick_check(${argument})`)?.quick_check ?? 'no answer'
  return answer === 'ok' ? null : answer
}

/** What is wrong with the file of a pack as far as its size tells, or with its row; null if nothing. */
export function packProblem(paths: StorePaths, { id, used, sum }: PackRow): string | null {
  if (sum !== packSum(id, used)) return `the row of pack ${id} in the index was altered`
  if (used === null || used === 0) return null
  const path = join(paths.packs, packName(id))
  const size = paths.disk.size(path)
  if (size === null) return `packs/${packName(id)} is missing`
  if (size < used) return `packs/${packName(id)} was cut: it has ${size} bytes, of which the index names ${used}`
  paths.disk.checkReadable(path)
  return null
}
