import type { Conflict } from './types.ts'

/** What went wrong, by who must act and how. Only `server/` turns a code into a status, only `cli/` into an exit code. */
export type ErrorCode =
  | 'NotFound'
  | 'VersionConflict'
  | 'AlreadyExists'
  | 'Unauthenticated'
  | 'Forbidden'
  | 'Unavailable'
  | 'Corrupt'
  | 'TooLarge'
  | 'QuotaExceeded'
  | 'NotSupported'
  | 'CursorExpired'
  | 'CursorForked'
  | 'InvalidKey'
  | 'InvalidRequest'
  | 'Refused'

export interface ErrorDetails {
  readonly cause?: unknown
  /** The next step, as a sentence or a command, for the person who reads the message. */
  readonly hint?: string
  readonly bucket?: string
  readonly key?: string
  /** Milliseconds the other side asked us to wait (`Retry-After`). */
  readonly retryAfter?: number
  /** For `VersionConflict`: every change of the entry whose expectation did not hold. */
  readonly conflicts?: readonly Conflict[]
}

/** An outcome that a caller can act on. Everything else that is thrown is a bug or an operating-system error. */
export class BlobsError extends Error {
  readonly code: ErrorCode
  readonly hint: string | undefined
  readonly bucket: string | undefined
  readonly key: string | undefined
  readonly retryAfter: number | undefined
  readonly conflicts: readonly Conflict[]

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = code
    this.code = code
    this.hint = details.hint
    this.bucket = details.bucket
    this.key = details.key
    this.retryAfter = details.retryAfter
    this.conflicts = details.conflicts ?? []
  }

  /** True when the same call may succeed later without anyone changing anything. */
  get retryable(): boolean {
    return this.code === 'Unavailable'
  }
}

export function isBlobsError(error: unknown, code?: ErrorCode): error is BlobsError {
  return error instanceof BlobsError && (code === undefined || error.code === code)
}
