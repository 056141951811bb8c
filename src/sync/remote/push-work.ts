import type { Clock, FileSystem, Ids } from '../../platform/ports.ts'
import type { Database } from '../../platform/sqlite.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import type { Content, Reason, Step } from '../core/types.ts'
import type { Extra } from '../state/remote.ts'
import type { Bucket } from './catch-up.ts'

export type PushStep = Extract<Step, { type: 'upload' | 'delete-remote' }>
/** A step for the bucket and what the trees know of its file. */
export interface PushWork<S extends PushStep = PushStep> {
  readonly step: S
  readonly identity: string
  readonly mtimeNs: bigint | null
  readonly extra: Extra | null
}

export type PushResult =
  /** `content` is what was sent, null for a delete; `info` the version it became. */
  | { readonly type: 'done'; readonly work: PushWork; readonly content: Content | null; readonly info: BlobInfo | null }
  /** The file is not what the plan saw: nothing was sent of it. */
  | { readonly type: 'changed'; readonly work: PushWork }
  /** Something else stands in the bucket (null: it never was there). */
  | { readonly type: 'overtaken'; readonly work: PushWork; readonly current: BlobInfo | null }
  | { readonly type: 'failed'; readonly work: PushWork; readonly reason: Reason; readonly error: unknown }

export interface PushOptions {
  readonly bucket: Bucket
  readonly db: Database
  readonly fs: FileSystem
  readonly clock: Clock
  readonly ids: Ids
  /** Absolute. */
  readonly root: string
  readonly device: string
  /** Called with the outcomes of a batch as soon as they are known; synchronous. */
  readonly onResults: (results: readonly PushResult[]) => void
  readonly onBytes?: (bytes: number) => void
  readonly signal?: AbortSignal
}

/** Why a path cannot be written to the bucket, or null if the error is not about the path. */
export function reasonOf(error: unknown): Reason | null {
  if (isBlobsError(error, 'Forbidden')) return 'forbidden'
  if (isBlobsError(error, 'TooLarge')) return 'too-large'
  if (isBlobsError(error, 'InvalidKey')) return 'name-reserved'
  if (isBlobsError(error, 'InvalidRequest') || isBlobsError(error, 'Corrupt') || isBlobsError(error, 'QuotaExceeded'))
    return 'upload-failed'
  return null
}
