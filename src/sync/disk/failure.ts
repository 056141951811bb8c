import type { Reason } from '../core/types.ts'

const REASONS: Readonly<Record<string, Reason>> = {
  EACCES: 'not-writable',
  EPERM: 'not-writable',
  EROFS: 'not-writable',
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EFBIG: 'too-large',
  ENAMETOOLONG: 'name-too-long',
  EILSEQ: 'name-reserved',
  EINVAL: 'name-reserved',
  ELOOP: 'symlink',
  ENOTDIR: 'file-and-folder',
  EISDIR: 'file-and-folder',
  ETXTBSY: 'busy',
  EBUSY: 'busy',
  EMFILE: 'busy',
  ENFILE: 'busy',
  EIO: 'unreadable',
}

/** The reason that a system error gives for a path, or null if it is none of the system's. */
export function reasonOf(error: unknown): Reason | null {
  const code = codeOf(error)
  return code === null ? null : (REASONS[code] ?? null)
}

export function codeOf(error: unknown): string | null {
  const { code } = Object(error) as { code?: unknown }
  return typeof code === 'string' ? code : null
}
