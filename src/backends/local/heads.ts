import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Position } from '../../store/ports.ts'
import { createPrivate } from './files.ts'
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
