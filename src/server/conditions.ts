import { etagOf } from '../protocol/blob-headers.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { BlobInfo } from '../store/contract/types.ts'

/** What `If-Match` or `If-None-Match: *` of a write asks for. `entry`: the first of the entry's id, when the full ETag was given. */
export type Condition = 'any' | 'absent' | { readonly version: number; readonly entry: string | null }

const TAG = /^"(\d{1,15})(?:-([0-9a-f]{16}))?"$/

/** Throws `InvalidRequest` for conditions that are not understood: to ignore one could destroy what it protects. */
export function writeCondition(ifMatch: string | undefined, ifNoneMatch: string | undefined): Condition {
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw new BlobsError('InvalidRequest', 'If-Match and If-None-Match exclude each other')
  }
  if (ifNoneMatch !== undefined) {
    if (ifNoneMatch.trim() === '*') return 'absent'
    throw new BlobsError('InvalidRequest', 'a write understands If-None-Match: * only')
  }
  if (ifMatch === undefined) return 'any'
  const found = TAG.exec(ifMatch.trim())
  const version = Number(found?.[1])
  if (found && version >= 1) return { version, entry: found[2] ?? null }
  throw new BlobsError('InvalidRequest', `${JSON.stringify(ifMatch)} is not understood in If-Match of a write`, {
    hint: 'give one version as If-Match: "5", or the ETag of an earlier answer; quotes belong to it',
  })
}

/** Whether the tags of `If-Match` or `If-None-Match` of a read name this version. */
export function matches(header: string, info: BlobInfo): boolean {
  const etag = etagOf(info)
  return header.split(',').some((one) => {
    const tag = one.trim().replace(/^W\//, '')
    return tag === '*' || tag === etag || tag === `"${info.version}"`
  })
}

/** First and last byte, inclusive; `unsatisfiable` has to be answered so; null: no range, or one that is to be ignored. */
export function parseRange(
  header: string | undefined,
  size: number,
): readonly [number, number] | 'unsatisfiable' | null {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  if (!found) return null
  const [, first = '', last = ''] = found
  if (first === '' && last === '') return null
  if (first === '') {
    const count = Math.min(Number(last), size)
    return count === 0 ? 'unsatisfiable' : [size - count, size - 1]
  }
  if (last !== '' && Number(last) < Number(first)) return null
  if (Number(first) >= size) return 'unsatisfiable'
  return [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)]
}
