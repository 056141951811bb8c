import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Database } from '../../platform/sqlite.ts'
import type { Position } from '../../store/ports.ts'
import { createPrivate } from '../../platform/private-files.ts'
import type { StorePaths } from './store-file.ts'

/** The last entry of a bucket that was acknowledged, as far as it was noted. */
export interface Head {
  readonly position: Position
  /** Checksum of its row. */
  readonly sum: number
}

/**
 * Notes heads in a file beside the database, which so can be caught having lost something: SQLite takes a WAL that is damaged for one
 * that ends there. The file is not synced: after a power cut it may be old, never ahead of the log.
 */
export interface HeadNote {
  write(head: Head): void
  close(): void
}

/** Nothing is opened before the first write. */
export function openHeadNote(paths: StorePaths, bucket: number): HeadNote {
  let file: number | null = null
  return {
    write: (head) => {
      file ??= openFile(headPath(paths, bucket))
      // One call, always as long: whoever reads it sees the old line or the new one.
      writeSync(file, encode(head), 0)
    },
    close: () => {
      if (file !== null) closeSync(file)
      file = null
    },
  }
}

/** What was noted; null for nothing, 'unreadable' for what is no note. */
export function readHead(paths: StorePaths, bucket: number): Head | null | 'unreadable' {
  try {
    return decode(readFileSync(headPath(paths, bucket), 'latin1'))
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

/** What is noted of each bucket; notes that cannot be read are left out. */
export function readHeads(paths: StorePaths): readonly { readonly bucket: number; readonly head: Head }[] {
  const buckets = readdirSync(paths.heads).map(Number).filter(Number.isSafeInteger)
  return buckets.flatMap((bucket) => {
    const head = readHead(paths, bucket)
    return head === null || head === 'unreadable' ? [] : [{ bucket, head }]
  })
}

/** What is wrong if the database lacks an entry that was acknowledged; null if it has it, or its bucket was removed. */
export function headProblem(db: Database, bucket: number, head: Head): string | null {
  const row = db.get<{ name: string | null }>('SELECT name FROM buckets WHERE id = ?', bucket)
  if (row === undefined)
    return `its database store.db lacks bucket ${bucket}, of which entry ${head.position} was acknowledged`
  if (row.name === null) return null
  const sql = 'SELECT sum FROM log WHERE bucket = ? AND position = ?'
  const found = db.get<{ sum: number }>(sql, bucket, head.position)
  return found?.sum === head.sum
    ? null
    : `the log of bucket ${row.name} lacks entry ${head.position}, which was acknowledged`
}

export function headPath({ heads }: StorePaths, bucket: number): string {
  return join(heads, String(bucket))
}

function openFile(path: string): number {
  createPrivate(path)
  return openSync(path, 'r+')
}

/** Position, checksum of the row, and CRC-32 of what is before it: 16 digits, 8 and 8 hex digits. */
function encode({ position, sum }: Head): string {
  const text = `${String(position).padStart(16, '0')} ${hex(sum)} `
  return `${text}${hex(crc32(text))}\n`
}

function decode(line: string): Head | null | 'unreadable' {
  // Made by a process that died before it wrote into it.
  if (line === '') return null
  const [position = '', sum = ''] = line.split(' ')
  const head = { position: Number(position), sum: Number.parseInt(sum, 16) }
  return Number.isSafeInteger(head.position) && encode(head) === line ? head : 'unreadable'
}

function hex(sum: number): string {
  return sum.toString(16).padStart(8, '0')
}
