import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'

const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
const AWAY: ReadonlySet<string> = new Set([
  'EIO',
  'ENXIO',
  'ENODEV',
  'ESTALE',
  'ETIMEDOUT',
  'EHOSTDOWN',
  'ENOTCONN',
  'EAGAIN',
  'EBUSY',
  'EINTR',
])
const CLOSED: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS'])

/** '' for what is no error of the system. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : ''
  return typeof code === 'string' && /^E[A-Z0-9]+$/.test(code) ? code : ''
}

/** Gives what an act gives; failures of the disk become errors that a caller can act on. */
export async function telling<T>(folder: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    throw told(folder, error)
  }
}

export function told(folder: string, cause: unknown): unknown {
  const code = codeOf(cause)
  if (FULL.has(code))
    return new BlobsError('QuotaExceeded', `the disk of ${folder} is full`, { cause, hint: 'make room there' })
  if (AWAY.has(code)) {
    const hint = 'is its disk there, and the network? it is tried again'
    return new BlobsError('Unavailable', `${folder} cannot be used now (${code})`, { cause, hint })
  }
  if (CLOSED.has(code)) {
    return new BlobsError('Forbidden', `the system does not let this user use ${folder} (${code})`, {
      cause,
      hint: 'see who may read and write there: ls -ld',
    })
  }
  return cause
}

/** Remembers which folder this is; the call it gives throws `Unavailable` when another one, or none, has the path. */
export function knowFolder(fs: FileSystem, folder: string): () => void {
  const first = fs.lstat(folder)
  return () => {
    const now = fs.lstat(folder)
    if (now !== null && now.dev === first?.dev && now.ino === first.ino) return
    throw new BlobsError('Unavailable', `${folder} is not the folder any more that it was`, {
      hint: 'is its disk mounted? it is tried again',
    })
  }
}
