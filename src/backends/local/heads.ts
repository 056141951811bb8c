import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Database } from '../../platform/sqlite.ts'
import type { Position } from '../../store/ports.ts'
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
  /** Does nothing where the disk does not let it: the entry is durable all the same. */
  write(head: Head): void
  close(): void
}

/** Nothing is opened before the first write. */
export function openHeadNote(paths: StorePaths, bucket: number): HeadNote {
  const { disk } = paths
  let file: ReturnType<StorePaths['disk']['openNote']> | null = null
  const open = (path: string): NonNullable<typeof file> => {
    disk.create(path)
    return disk.openNote(path)
  }
  return {
    write: (head) => {
      try {
        file ??= open(headPath(paths, bucket))
        // One call, always as long: whoever reads it sees the old line or the new one.
        file.write(encode(head))
      } catch {
        // The older note stays, and is true.
      }
    },
    close: () => {
      file?.close()
      file = null
    },
  }
}

/** What was noted; null for nothing, 'unreadable' for what is no note. */
export function readHead(paths: StorePaths, bucket: number): Head | null | 'unreadable' {
  const text = paths.disk.readText(headPath(paths, bucket))
  return text === null ? null : decode(text)
}

/** What is noted of each bucket; notes that cannot be read are left out. */
export function readHeads(paths: StorePaths): readonly { readonly bucket: number; readonly head: Head }[] {
  const buckets = paths.disk.names(paths.heads).map(Number).filter(Number.isSafeInteger)
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
