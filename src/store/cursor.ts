import { BlobsError } from './contract/errors.ts'
import type { Cursor } from './contract/types.ts'
import type { Position } from './ports.ts'

/** What a cursor says, see docs/entry-format.md. */
export interface Place {
  readonly epoch: string
  readonly position: Position
  /** Id of the entry there. */
  readonly entry: string
}

export function formatCursor({ epoch, position, entry }: Place): Cursor {
  return `${epoch}:${position}:${entry}`
}

/** Throws `InvalidRequest` for text that is no cursor of ours. */
export function parseCursor(cursor: Cursor): Place {
  const [epoch, position, entry, ...rest] = cursor.split(':')
  const at = /^[0-9]{1,16}$/.test(position ?? '') ? Number(position) : Number.NaN
  if (!epoch || !entry || rest.length > 0 || !Number.isSafeInteger(at)) {
    throw new BlobsError('InvalidRequest', `${JSON.stringify(cursor)} is not a cursor`, {
      hint: 'pass a cursor exactly as it was given, or none to read from the start',
    })
  }
  return { epoch, position: at, entry }
}
