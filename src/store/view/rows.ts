import { decodeList, type Body } from '../../content/body.ts'
import type { BlobInfo, Meta } from '../contract/types.ts'
import { formatCursor } from '../cursor.ts'
import { DROPPED } from './schema.ts'

/** What is told of a version: the columns of `InfoRow`. */
export const INFO_COLUMNS = `k.key AS key, k.number AS number, v.serial AS serial, v.version AS version, v.size AS size, v.hash AS hash,
  v.type AS type, v.time AS time, v.deleted AS deleted, v.meta AS meta, v.depth AS depth, v.position AS position,
  e.id AS entry, e.author AS author, e.device AS device`

export interface InfoRow {
  readonly key: string
  readonly number: number
  readonly serial: number
  readonly version: number
  readonly size: number
  readonly hash: string
  readonly type: string
  readonly time: number
  readonly deleted: number
  readonly meta: string
  readonly depth: number
  readonly position: number
  readonly entry: string
  readonly author: string
  readonly device: string
}

export function toInfo(bucket: string, epoch: string, row: InfoRow): BlobInfo {
  return {
    bucket,
    key: row.key,
    version: row.version,
    size: row.size,
    hash: row.hash,
    contentType: row.type,
    modified: new Date(row.time).toISOString(),
    deleted: row.deleted === 1,
    meta: JSON.parse(row.meta) as Meta,
    position: formatCursor({ epoch, position: row.position, entry: row.entry }),
    entry: row.entry,
    author: row.author,
    device: row.device,
    ...(row.depth === DROPPED ? { dropped: true as const } : {}),
  }
}

/** `hash` is the blob's, named if the refs cannot be read. */
export function toBody(hash: string, depth: number, refs: Uint8Array): Body {
  return { depth, refs: refs.length === 0 ? [] : decodeList(hash, refs) }
}
