import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../platform/ports.ts'
import { patiently } from '../../platform/sqlite.ts'
import type { Finding, Inspection } from '../../store/contract/findings.ts'
import { REPAIR, type Damage } from './damage.ts'
import { packName, packOfName } from './pack-format.ts'
import { isGap, openPackFile, type PackFile } from './pack-walk.ts'
import type { StoreFile } from './store-file.ts'
import { packProblem } from './trust.ts'

export interface PackCheck {
  readonly store: StoreFile
  readonly clock: Clock
  readonly inspection: Inspection
  readonly damage: Damage
}
interface PackRow {
  readonly id: number
  readonly used: number | null
  readonly sum: number
}
interface ChunkRow {
  readonly bucket: number
  readonly hash: string
  readonly size: number
  readonly place: number
}

/** Reads every pack up to where the index speaks for it, and compares its records with the index. */
export async function checkPacks(check: PackCheck): Promise<void> {
  const { store, clock, inspection } = check
  const packs = await patiently(clock, () => store.db.all<PackRow>('SELECT id, used, sum FROM packs ORDER BY id'))
  for (const row of packs) {
    const problem = packProblem(store, row)
    if (problem !== null && (await isGone(check, row.id))) continue
    if (problem !== null) inspection.report(fault('pack', problem))
    await checkPack(check, row.id)
  }
  const known = new Set(packs.map(({ id }) => id))
  const rows = await patiently(clock, () =>
    store.db.all<{ pack: number }>('SELECT DISTINCT pack FROM chunks WHERE pack IS NOT NULL'),
  )
  for (const { pack } of rows) if (!known.has(pack)) await checkPack(check, pack)
  for (const name of existsSync(store.packs) ? readdirSync(store.packs) : []) {
    const pack = packOfName(name)
    if (pack === null || known.has(pack) || (await hasRow(check, pack))) continue
    inspection.report({
      code: 'leftover',
      severity: 'warning',
      message: `packs/${name} is not in the index`,
      remedy: REPAIR,
    })
  }
}

function fault(code: Finding['code'], message: string): Finding {
  return { code, severity: 'damage', message, remedy: REPAIR }
}

/** True if the pack was dropped while we looked. */
async function isGone({ store, clock }: PackCheck, pack: number): Promise<boolean> {
  const row = await patiently(clock, () => store.db.get<PackRow>('SELECT id, used, sum FROM packs WHERE id = ?', pack))
  return row?.used === null && packProblem(store, row) === null
}

/** False if the chunk was moved or removed while we looked. */
async function isNamed({ store, clock }: PackCheck, pack: number, { bucket, hash, place }: ChunkRow): Promise<boolean> {
  const sql = 'SELECT 1 FROM chunks WHERE bucket = ? AND hash = ? AND pack = ? AND place = ?'
  return (await patiently(clock, () => store.db.get(sql, bucket, Buffer.from(hash, 'hex'), pack, place))) !== undefined
}

async function hasRow({ store, clock }: PackCheck, pack: number): Promise<boolean> {
  return (await patiently(clock, () => store.db.get('SELECT 1 FROM packs WHERE id = ?', pack))) !== undefined
}

async function checkPack(check: PackCheck, id: number): Promise<void> {
  const { store, clock, inspection, damage } = check
  const sql = 'SELECT bucket, lower(hex(hash)) AS hash, size, place FROM chunks WHERE pack = ? ORDER BY place'
  const named = new Map<number, ChunkRow>()
  for (const row of await patiently(clock, () => store.db.all<ChunkRow>(sql, id))) {
    if (![row.bucket, row.size, row.place].every(Number.isSafeInteger)) {
      inspection.report(fault('index', `the row of chunk ${row.hash} in packs/${packName(id)} was altered`))
      continue
    }
    if (named.has(row.place))
      inspection.report(fault('index', `two chunks are at byte ${row.place} of packs/${packName(id)}`))
    named.set(row.place, row)
  }
  // After the rows: what they name is below it.
  const row = await patiently(clock, () =>
    store.db.get<Pick<PackRow, 'used'>>('SELECT used FROM packs WHERE id = ?', id),
  )
  const used = row?.used ?? 0
  if (used === 0 && named.size === 0) return
  const file = await openPackFile(store.disk, join(store.packs, packName(id)))
  if (file === null) {
    for (const row of named.values()) if (await isNamed(check, id, row)) damage.add(row.bucket, row.hash)
    return
  }
  try {
    if (used > 0 && !file.headed) inspection.report(fault('pack', `packs/${packName(id)} does not begin as a pack`))
    await compare(check, { id, used }, file, named)
  } finally {
    await file.close()
  }
}

/** Takes out of `named` what it finds. */
async function compare(
  check: PackCheck,
  { id, used }: { readonly id: number; readonly used: number },
  file: PackFile,
  named: Map<number, ChunkRow>,
): Promise<void> {
  const { inspection, damage } = check
  const pace = (bytes: number): Promise<void> => inspection.pace(bytes)
  const gaps: string[] = []
  for await (const found of file.walk(used, pace)) {
    if (isGap(found)) {
      gaps.push(`${found.start} to ${found.end - 1}`)
      continue
    }
    const row = named.get(found.place)
    if (row === undefined) continue
    const same = row.bucket === found.bucket && row.hash === found.hash && row.size === found.size
    if (same) named.delete(found.place)
    if (same && !found.sound) damage.add(row.bucket, row.hash)
  }
  // What is left is at no record's place: its bytes may be right nevertheless.
  for (const row of named.values()) {
    if (!(await isNamed(check, id, row))) continue
    const { bucket, hash, size, place } = row
    const right = await file.holds(hash, place, size, pace)
    const what = `the record of chunk ${hash} at byte ${place} of packs/${packName(id)} was altered`
    if (right) inspection.report(fault('index', `${what}; its bytes are right`))
    else damage.add(bucket, hash)
  }
  for (const gap of gaps) {
    // Where every row found its record, nobody needs these.
    const severity = named.size === 0 ? 'warning' : 'damage'
    inspection.report({ ...fault('pack', `bytes ${gap} of packs/${packName(id)} are no record`), severity })
  }
}
