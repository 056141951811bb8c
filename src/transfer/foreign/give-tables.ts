import { type Database, openDatabase } from '../../platform/sqlite.ts'
import { MAX_FETCH_BYTES } from '../../store/contract/blob-store.ts'
import {
  FORM_META,
  INDEX_META,
  parseRowKey,
  parseRowLabel,
  VALUE_META,
  VOID_META,
} from '../../store/contract/changelog-rows.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { FOLDER_TYPE } from '../../store/contract/keys.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import type { TransferContext } from '../context.ts'
import { readBlob } from '../get.ts'
import { quoted } from './changelog-tables.ts'
import type { ForeignResult } from './items.ts'

interface Giving {
  readonly prefix: string
  /** Of the database, which must not be there yet. */
  readonly path: string
  readonly dryRun: boolean
}

type Form = 1 | 2

const SCHEMA: Readonly<Record<Form, string>> = {
  1: '(id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT, type TEXT, value TEXT)',
  2: '(change_id INTEGER PRIMARY KEY AUTOINCREMENT, change_type TEXT, record_key TEXT, index_values TEXT, record_value TEXT)',
}

const BATCH = 500
const BATCH_BYTES = 8 * 1024 * 1024

/** Writes the whole history of records as tables of a new database of seed 002. */
export async function* giveTables(context: TransferContext, giving: Giving): AsyncGenerator<ForeignResult> {
  const { fs, ids } = context
  if (fs.lstat(giving.path) !== null) {
    throw new BlobsError('AlreadyExists', `${giving.path} is there already`, { hint: 'name a file that is not' })
  }
  const forms = await formsOf(context, giving.prefix)
  const temporary = `${giving.path}.${ids.next()}.blobs-tmp`
  const db = openDatabase(giving.dryRun ? ':memory:' : temporary, { synchronous: 'full' })
  try {
    for (const [table, form] of forms) {
      db.exec(`CREATE TABLE ${quoted(table)} ${SCHEMA[form]}`)
      if (form === 1) db.exec(`CREATE INDEX ${quoted(`${table}_KEY_INDEX`)} ON ${quoted(table)} (key)`)
    }
    yield* fill(context, db, giving.prefix, forms)
    // One file, as the program that reads it left it.
    if (!giving.dryRun) db.exec('PRAGMA journal_mode = DELETE')
    db.close()
    if (!giving.dryRun) fs.renameNew(temporary, giving.path)
  } catch (error) {
    closeQuietly(db)
    throw error
  } finally {
    for (const suffix of ['', '-wal', '-shm']) {
      if (fs.lstat(`${temporary}${suffix}`) !== null) fs.unlink(`${temporary}${suffix}`)
    }
  }
}

function closeQuietly(db: Database): void {
  try {
    db.close()
  } catch {
    // It was closed before; the error that led here is the one to tell.
  }
}

type Place = Pick<ReturnType<typeof parseRowKey> & object, 'store' | 'key'>

/** The record that a key is of; its key is undefined for the marker of a store. */
function placeOf(
  info: BlobInfo,
  prefix: string,
): { readonly store: string; readonly key: Place['key'] | undefined } | null {
  if (!info.key.startsWith(prefix)) return null
  const key = info.key.slice(prefix.length)
  if (info.contentType !== FOLDER_TYPE || !key.endsWith('/')) return parseRowKey(key)
  const store = parseRowKey(`${key}x`)?.store
  return store === undefined || !key.endsWith('/') ? null : { store, key: undefined }
}

async function formsOf({ store, signal }: TransferContext, prefix: string): Promise<ReadonlyMap<string, Form>> {
  const forms = new Map<string, Form>()
  for await (const item of store.changes({ signal })) {
    if (item.type === 'bookmark') continue
    const place = placeOf(item, prefix)
    if (place === null) continue
    const second =
      item.meta[FORM_META] === '2' || (item.meta[FORM_META] === undefined && item.meta[INDEX_META] !== undefined)
    if (second || !forms.has(place.store)) forms.set(place.store, second ? 2 : 1)
  }
  signal.throwIfAborted()
  return forms
}

async function* fill(
  context: TransferContext,
  db: Database,
  prefix: string,
  forms: ReadonlyMap<string, Form>,
): AsyncGenerator<ForeignResult> {
  const last = new Map<string, number>()
  let [batch, bytes]: [BlobInfo[], number] = [[], 0]
  const flush = async (): Promise<readonly ForeignResult[]> => {
    const values = await valuesOf(context, batch)
    db.exec('BEGIN')
    const results = batch.map((info) => insert(db, info, { prefix, forms, last, value: values.get(info) }))
    db.exec('COMMIT')
    context.progress.add(bytes, batch.length)
    ;[batch, bytes] = [[], 0]
    return results
  }
  for await (const item of context.store.changes({ signal: context.signal })) {
    if (item.type === 'bookmark') continue
    const place = placeOf(item, prefix)
    if (place === null) {
      if (!item.deleted) yield { kind: 'skipped', name: item.key, reason: 'its key is no STORE/KEY' }
      continue
    }
    if (place.key === undefined || item.meta[VOID_META] !== undefined) continue
    batch.push(item)
    bytes += item.size
    if (batch.length >= BATCH || bytes >= BATCH_BYTES) yield* await flush()
  }
  context.signal.throwIfAborted()
  yield* await flush()
}

async function valuesOf(
  context: TransferContext,
  batch: readonly BlobInfo[],
): Promise<ReadonlyMap<BlobInfo, Uint8Array>> {
  const values = new Map<BlobInfo, Uint8Array>()
  const wants = new Map<string, BlobInfo>()
  for (const info of batch) {
    if (info.deleted) continue
    if (info.size === 0) values.set(info, new Uint8Array())
    else if (info.size <= MAX_FETCH_BYTES) wants.set(`${info.version} ${info.key}`, info)
    else values.set(info, await whole(context, info))
  }
  if (wants.size === 0) return values
  for await (const { key, version, bytes } of context.store.fetch([...wants.values()])) {
    const info = wants.get(`${version} ${key}`)
    if (info) values.set(info, Uint8Array.from(bytes))
  }
  return values
}

async function whole(context: TransferContext, info: BlobInfo): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  for await (const piece of readBlob(context, info)) pieces.push(Uint8Array.from(piece))
  return Buffer.concat(pieces)
}

interface Inserting {
  readonly prefix: string
  readonly forms: ReadonlyMap<string, Form>
  /** Number of the last row of each table. */
  readonly last: Map<string, number>
  readonly value: Uint8Array | undefined
}

function insert(db: Database, info: BlobInfo, { prefix, forms, last, value }: Inserting): ForeignResult {
  const place = placeOf(info, prefix)
  if (place === null || (value === undefined && !info.deleted)) {
    return {
      kind: 'failed',
      name: info.key,
      error: new BlobsError('NotFound', `version ${info.version} of ${info.key} is not kept any more`),
    }
  }
  const { store } = place
  const label = parseRowLabel(info.device)
  const before = last.get(store) ?? 0
  const id = label !== null && label.id > before ? label.id : Math.max(before + 1, Number(info.position.split(':')[1]))
  last.set(store, id)
  const type = info.deleted ? 'DELETE' : 'ADD'
  const isNull = info.deleted || info.meta[VALUE_META] === 'null'
  const isText = info.meta[VALUE_META] !== 'bytes' && value !== undefined && isUtf8(value)
  const cast = isText ? 'CAST(? AS TEXT)' : '?'
  const bytes = isNull ? null : (value ?? null)
  const key = place.key ?? null
  if (forms.get(store) === 1) db.run(`INSERT INTO ${quoted(store)} VALUES (?, ?, ?, ${cast})`, id, key, type, bytes)
  else {
    const index = info.deleted ? (label === null ? '' : label.index) : (info.meta[INDEX_META] ?? '')
    db.run(`INSERT INTO ${quoted(store)} VALUES (?, ?, ?, ?, ${cast})`, id, type, key, index, bytes)
  }
  return { kind: 'done', name: `${store}/${id}`, key: info.key, size: info.size, info }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}
