import type { Value } from '../../platform/sqlite.ts'
import type { Base, Content, Local, Path, Reason, Remote } from '../core/types.ts'

/** A path as the tables keep it. */
export interface Place {
  /** Folder with its trailing `/`, or '' for the root. */
  readonly parent: string
  /** '' for the marker of an empty folder. */
  readonly name: string
}

export function placeOf(path: Path): Place {
  const cut = path.lastIndexOf('/') + 1
  return { parent: path.slice(0, cut), name: path.slice(cut) }
}

/** The columns of one row, as SQLite gives them. */
export interface Columns {
  readonly parent: string
  readonly name: string
  readonly b_kind: string | null
  readonly b_hash: Uint8Array | null
  readonly b_size: number | null
  readonly b_exec: number | null
  readonly b_version: number | null
  readonly l_kind: string | null
  readonly l_hash: Uint8Array | null
  readonly l_size: number | null
  readonly l_exec: number | null
  readonly l_reason: string | null
  readonly l_identity: string | null
  readonly l_mtime: string | null
  readonly r_kind: string | null
  readonly r_hash: Uint8Array | null
  readonly r_size: number | null
  readonly r_exec: number | null
  readonly r_version: number | null
  readonly r_entry: string | null
  readonly r_mtime: string | null
  readonly r_extra: string | null
  readonly h_local: Uint8Array | null
  readonly h_version: number | null
  readonly h_old: number | null
  readonly ignored: number
  readonly parked: string | null
}

export function hashToBytes(hash: string): Buffer {
  return Buffer.from(hash, 'hex')
}
export function hashFromBytes(bytes: Uint8Array | null): string {
  return bytes === null ? '' : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
}

export function baseOf(row: Columns): Base | null {
  if (row.b_kind === null) return null
  return { ...contentOf(row.b_kind, row.b_hash, row.b_size, row.b_exec), version: row.b_version ?? 0 }
}

export function localOf(row: Columns): Local | null {
  if (row.l_kind === null) return null
  // The column only ever holds what `localValues` wrote.
  if (row.l_kind === 'u') return { kind: 'unknown', reason: (row.l_reason ?? 'unreadable') as Reason }
  return contentOf(row.l_kind, row.l_hash, row.l_size, row.l_exec)
}

export function remoteOf(row: Columns): Remote | null {
  if (row.r_kind === null) return null
  if (row.r_kind === 'x') return { kind: 'deleted', version: row.r_version ?? 0, entry: row.r_entry ?? '' }
  return { ...contentOf(row.r_kind, row.r_hash, row.r_size, row.r_exec), version: row.r_version ?? 0 }
}

/** Kind, hash, size, executable as columns. */
export function contentValues(value: Content): [Value, Value, Value, Value] {
  return [value.kind === 'folder' ? 'd' : 'f', hashToBytes(value.hash), value.size, value.executable ? 1 : 0]
}

export function contentOf(kind: string, hash: Uint8Array | null, size: number | null, exec: number | null): Content {
  return {
    kind: kind === 'd' ? 'folder' : 'file',
    hash: hashFromBytes(hash),
    size: size ?? 0,
    executable: exec === 1,
  }
}
