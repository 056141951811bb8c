import { existsSync, readdirSync } from 'node:fs'
import type { Hash } from '../../content/hash.ts'
import type { Clock } from '../../platform/ports.ts'
import { patiently } from '../../platform/sqlite.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import type { Finding, Inspection } from '../../store/contract/findings.ts'
import type { Backend } from '../../store/ports.ts'
import { checkDatabase } from './check-database.ts'
import { checkFiles } from './check-files.ts'
import { checkPacks } from './check-packs.ts'
import { openDamage, REPAIR, type Damage } from './damage.ts'
import { localBackend, PACK_BYTES } from './local.ts'
import { readStoreFile, storePaths, type StoreFile } from './store-file.ts'

export interface LocalCheckOptions {
  readonly directory: string
  readonly clock: Clock
  readonly inspection: Inspection
}

/** A store whose own parts were checked; what its logs say is for others to check. */
export interface CheckedStore {
  /** Null if the database cannot be used. Opens also buckets that a backend would refuse. */
  readonly backend: Backend | null
  /** True for a chunk that the index has, but whose bytes are altered or gone. */
  isDamaged(bucket: string, hash: Hash): boolean
  /** Reports the damaged chunks that `isDamaged` was never asked about: no version names them, but the next one may. */
  finish(): Promise<void>
  close(): Promise<void>
}

/** True if there is something of a store in the directory. */
export function isStore(directory: string): boolean {
  const { database, packs } = storePaths(directory)
  return existsSync(database) || (existsSync(packs) && readdirSync(packs).length > 0)
}

/**
 * Checks the embedded store: files, database, packs and index, reading every byte once. It may be in use meanwhile. Changes
 * nothing. What cannot be read because of permissions is Node's error.
 */
export async function checkLocal({ directory, clock, inspection }: LocalCheckOptions): Promise<CheckedStore> {
  checkFiles(directory, inspection)
  let store: StoreFile
  try {
    store = await readStoreFile({ directory, clock })
  } catch (error) {
    if (!isBlobsError(error, 'Corrupt')) throw error
    const { message } = error
    inspection.report({ code: 'store', severity: 'damage', message, remedy: REPAIR })
    return { backend: null, isDamaged: () => false, finish: async () => undefined, close: async () => undefined }
  }
  try {
    const damage = openDamage()
    await checkDatabase({ store, clock, inspection, damage })
    await checkPacks({ store, clock, inspection, damage })
    return checked(store, clock, inspection, damage)
  } catch (error) {
    store.close()
    throw error
  }
}

function checked(store: StoreFile, clock: Clock, inspection: Inspection, damage: Damage): CheckedStore {
  const backend = localBackend({ store, clock, packs: { limit: PACK_BYTES }, lenient: true })
  const rows = store.db.all<{ id: number; name: string }>('SELECT id, name FROM buckets WHERE name IS NOT NULL')
  const ids = new Map(rows.map(({ id, name }) => [name, id]))
  const named = openDamage()
  return {
    backend,
    isDamaged: (name, hash) => {
      const bucket = ids.get(name)
      if (bucket === undefined || !damage.has(bucket, hash)) return false
      named.add(bucket, hash)
      return true
    },
    finish: async () => {
      const names = new Map(rows.map(({ id, name }) => [id, name]))
      const sql = 'SELECT 1 FROM chunks WHERE bucket = ? AND hash = ?'
      for (const { bucket, hash } of damage.all()) {
        if (named.has(bucket, hash)) continue
        // Its bucket may have been removed while we looked.
        const row = await patiently(clock, () => store.db.get(sql, bucket, Buffer.from(hash, 'hex')))
        if (row !== undefined) inspection.report(unnamed(names.get(bucket) ?? `number ${bucket}`, hash))
      }
    },
    close: () => backend.close(),
  }
}

function unnamed(bucket: string, hash: Hash): Finding {
  const message = `chunk ${hash} of bucket ${bucket}, which no version names, is damaged`
  return { code: 'chunk', severity: 'damage', message, remedy: REPAIR, bucket }
}
