import { sha256 } from '../../content/hash.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { type Database, readDatabase, sqliteProblem } from '../../platform/sqlite.ts'
import {
  FORM_META,
  INDEX_META,
  rowKey,
  rowLabel,
  storePrefix,
  VALUE_META,
  VOID_META,
} from '../../store/contract/changelog-rows.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { FOLDER_TYPE } from '../../store/contract/keys.ts'
import type { Meta } from '../../store/contract/types.ts'
import type { ForeignPut, Found } from './items.ts'

/** Columns of a table, by the generation of its program. */
const COLUMNS = {
  1: ['id', 'key', 'type', 'value'],
  2: ['change_id', 'change_type', 'record_key', 'index_values', 'record_value'],
} as const
type Form = keyof typeof COLUMNS

/** The rows of every table of a database of seed 002, as steps of their records' histories. */
export async function* readTables(fs: FileSystem, path: string, prefix: string): AsyncGenerator<Found> {
  // Opening would make it.
  if (fs.lstat(path) === null) throw new BlobsError('NotFound', `there is no ${path}`)
  const db = openToRead(path)
  try {
    for (const { name } of tablesOf(db, path)) {
      const form = formOf(db, name)
      if (form === null) yield { kind: 'skipped', name, reason: 'it is no table of changes' }
      else {
        yield marker(name, form, prefix)
        yield* readRows(db, name, form, prefix)
      }
    }
  } finally {
    db.close()
  }
}

function openToRead(path: string): Database {
  try {
    return readDatabase(path)
  } catch (cause) {
    throw new BlobsError('Corrupt', `${path} cannot be opened as a database`, { cause })
  }
}

function tablesOf(db: Database, path: string): readonly { readonly name: string }[] {
  try {
    return db.all(
      String.raw`SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
    )
  } catch (cause) {
    if (sqliteProblem(cause) !== 'corrupt') throw cause
    throw new BlobsError('Corrupt', `${path} is not a database of SQLite`, { cause })
  }
}

function formOf(db: Database, table: string): Form | null {
  const columns = db.all<{ name: string }>(`PRAGMA table_info(${quoted(table)})`).map(({ name }) => name)
  for (const form of [1, 2] as const) {
    const wanted: readonly string[] = COLUMNS[form]
    if (columns.length === wanted.length && wanted.every((name) => columns.includes(name))) return form
  }
  return null
}

export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** Says that there is such a table, also when nothing is in it. */
function marker(table: string, form: Form, prefix: string): ForeignPut {
  const meta = { [FORM_META]: String(form) }
  const key = `${prefix}${storePrefix(table)}`
  return { kind: 'put', name: table, key, ...NOTHING, contentType: FOLDER_TYPE, meta, silent: true }
}

const NOTHING = {
  hash: sha256(new Uint8Array()),
  size: 0,
  bytes: async function* (): AsyncGenerator<Uint8Array> {},
} as const

interface Row {
  readonly id: number
  readonly type: unknown
  readonly keyType: string
  readonly key: Uint8Array | null
  readonly valueType: string
  readonly value: Uint8Array | null
  readonly indexType: string
  readonly index: Uint8Array | null
}

function* readRows(db: Database, table: string, form: Form, prefix: string): Generator<Found> {
  const live = new Set<string>()
  const [id, type, key, value, index] =
    form === 1
      ? ['id', 'type', 'key', 'value', "''"]
      : ['change_id', 'change_type', 'record_key', 'record_value', 'index_values']
  const sql = `SELECT ${id} AS id, ${type} AS type,
    typeof(${key}) AS keyType, CAST(${key} AS BLOB) AS key,
    typeof(${value}) AS valueType, CAST(${value} AS BLOB) AS value,
    typeof(${index}) AS indexType, CAST(${index} AS BLOB) AS "index"
    FROM ${quoted(table)} ORDER BY ${id}`
  for (const row of db.iterate<Row>(sql)) {
    const name = `${table}/${row.id}`
    try {
      yield* steps(row, { table, form, prefix, name, live })
    } catch (error) {
      if (!(error instanceof BlobsError)) throw error
      yield { kind: 'failed', name, error }
    }
  }
}

interface RowPlace {
  readonly table: string
  readonly form: Form
  readonly prefix: string
  readonly name: string
  /** Keys that stand after the rows before. */
  readonly live: Set<string>
}

function* steps(row: Row, place: RowPlace): Generator<Found> {
  const { table, form, prefix, name, live } = place
  const key = `${prefix}${rowKey(table, row.keyType === 'null' ? null : textOf(row.keyType, row.key, name))}`
  const index = row.indexType === 'null' ? null : textOf(row.indexType, row.index, name)
  const mark = `${table} ${row.id}`
  if (row.type === 'ADD') {
    if (index === null) throw odd(name, 'it adds and has no index values')
    const meta: Meta = { ...(form === 2 ? { [INDEX_META]: index } : {}), ...valueMeta(row, name) }
    if (index.length > 2000) throw odd(name, 'its index values are too long')
    const bytes = row.value ?? new Uint8Array()
    const what = {
      hash: sha256(bytes),
      size: bytes.length,
      bytes: () => pieces(bytes),
      contentType: 'text/plain; charset=utf-8',
    }
    live.add(key)
    yield { kind: 'put', name, key, ...what, meta, device: rowLabel({ id: row.id }), mark }
  } else if (row.type === 'DELETE') {
    if (row.valueType !== 'null') throw odd(name, 'it deletes and has a value')
    const device = rowLabel({ id: row.id, index })
    if (device.length > 250) throw odd(name, 'its index values are too long')
    // What does not stand cannot be deleted: it gets a version for that.
    if (!live.delete(key)) {
      const meta = { [VOID_META]: '1' }
      yield {
        kind: 'put',
        name,
        key,
        ...NOTHING,
        contentType: 'text/plain',
        meta,
        device,
        mark: `${mark} void`,
        silent: true,
      }
    }
    yield { kind: 'delete', name, key, device, mark }
  } else throw odd(name, 'it neither adds nor deletes')
}

function valueMeta({ valueType, value }: Row, name: string): Meta {
  if (valueType === 'null') return { [VALUE_META]: 'null' }
  if (valueType === 'blob') return { [VALUE_META]: 'bytes' }
  if (valueType !== 'text') throw odd(name, 'its value is no text')
  textOf(valueType, value, name)
  return {}
}

function textOf(type: string, bytes: Uint8Array | null, name: string): string {
  if (type !== 'text') throw odd(name, 'its key is no text')
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes ?? new Uint8Array())
  } catch {
    throw odd(name, 'it has text that is not UTF-8')
  }
}

function odd(name: string, what: string): BlobsError {
  return new BlobsError('NotSupported', `the row ${name} cannot be kept: ${what}`)
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
