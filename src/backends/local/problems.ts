import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { sqliteProblem } from '../../platform/sqlite.ts'

const DISK_FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
/** SQLite could not grow the shared memory file. */
const IOERR_SHMSIZE = 4874

/** What a failure of SQLite or of a pack means to a caller; errors that are no one's business but the system's stay as they are. */
export function explain(error: unknown, directory: string): unknown {
  if (isBlobsError(error)) return error
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const errcode = error instanceof Error && 'errcode' in error ? error.errcode : undefined
  const problem = sqliteProblem(error)
  if (problem === 'full' || errcode === IOERR_SHMSIZE || DISK_FULL.has(String(code))) return full(error, directory)
  if (problem === 'corrupt') return damaged(directory, 'its database store.db cannot be read', error)
  if (problem === 'io') {
    return new BlobsError('Unavailable', `the disk under ${directory} fails: ${(error as Error).message}`, {
      cause: error,
      hint: 'look into the system log for disk errors, then try again',
    })
  }
  if (problem === 'busy' || code === 'SQLITE_BUSY') {
    return new BlobsError('Unavailable', `the store in ${directory} is locked by another process`, {
      cause: error,
      hint: 'try again when the other blobs process is done or has been stopped',
    })
  }
  if (problem === 'cannot-open' || problem === 'readonly') {
    const message = `${directory}/store.db can not be opened for writing: look at its owner and permissions`
    return Object.assign(new Error(message, { cause: error }), { code: 'EACCES' })
  }
  return error
}

function full(cause: unknown, directory: string): BlobsError {
  return new BlobsError('QuotaExceeded', `no space is left on the disk for the store in ${directory}`, {
    cause,
    hint: 'free some space and try again; everything that was acknowledged is safe',
  })
}

/** A store that must not be used before it was looked at. */
export function damaged(directory: string, what: string, cause?: unknown): BlobsError {
  return new BlobsError('Corrupt', `the store in ${directory} is damaged: ${what}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: `see what is wrong: blobs doctor --data ${directory} · mend it (what is there now is kept aside): blobs doctor --repair --data ${directory}`,
  })
}
