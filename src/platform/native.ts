import { createRequire } from 'node:module'
import { getSystemErrorName } from 'node:util'
import type * as Koffi from 'koffi'

/** System calls that Node has no binding for. Each is null where this system lacks it. */
export interface Native {
  /** Throws EEXIST if `to` is there; false, with nothing done, if the file system does not know the call. */
  readonly renameNew: ((from: string, to: string) => boolean) | null
  /** Swaps two existing paths; false, with nothing done, if the file system does not know the call. */
  readonly exchange: ((a: string, b: string) => boolean) | null
  /** Sets mtime alone, exactly, of what is at the path itself. */
  readonly setModified: ((path: string, mtimeNs: bigint) => void) | null
  /** The same of an open file. */
  readonly setOpenModified: ((descriptor: number, mtimeNs: bigint) => void) | null
  /** Everything of the file system of this descriptor, on a worker thread. */
  readonly syncFileSystem: ((descriptor: number) => Promise<void>) | null
  /** True if some process has the file of this descriptor open for writing; null if the system would not say. */
  readonly hasWriter: ((descriptor: number) => boolean | null) | null
}

const NONE: Native = {
  renameNew: null,
  exchange: null,
  setModified: null,
  setOpenModified: null,
  syncFileSystem: null,
  hasWriter: null,
}
let loaded: Native | null = null

/** Loads the foreign-function package on the first call (10 ms). Never throws: what is missing is null. */
export function native(): Native {
  loaded ??= load(process.platform)
  return loaded
}

function load(platform: NodeJS.Platform): Native {
  if (platform !== 'linux' && platform !== 'darwin') return NONE
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Ffi
    return platform === 'linux' ? linux(koffi) : macos(koffi)
  } catch {
    return NONE
  }
}

type Ffi = typeof Koffi
type IntCall = (...args: (number | string | BigInt64Array)[]) => number

// Null is the running program: its C library, whichever that is (glibc, musl, libSystem).
function symbols(koffi: Ffi): (prototype: string) => ReturnType<ReturnType<Ffi['load']>['func']> | null {
  const library = koffi.load(null)
  return (prototype) => {
    try {
      return library.func(prototype)
    } catch {
      return null
    }
  }
}

const AT_CWD_LINUX = -100
const AT_CWD_MACOS = -2

function linux(koffi: Ffi): Native {
  const find = symbols(koffi)
  const rename = find('int renameat2(int, const char *, int, const char *, unsigned int)') as IntCall | null
  const flagged = (flag: number, from: string, to: string): boolean =>
    rename !== null && succeeded(koffi, rename(AT_CWD_LINUX, from, AT_CWD_LINUX, to, flag), 'renameat2', from, to)
  const omit = (1n << 30n) - 2n
  return {
    renameNew: rename && ((from, to) => flagged(1, from, to)),
    exchange: rename && ((a, b) => flagged(2, a, b)),
    setModified: modifier(koffi, find, AT_CWD_LINUX, omit, 0x100),
    setOpenModified: openModifier(koffi, find, omit),
    syncFileSystem: syncer(find('int syncfs(int)')),
    hasWriter: leaseProbe(koffi, find('int fcntl(int, int, int)') as IntCall | null),
  }
}

function macos(koffi: Ffi): Native {
  const find = symbols(koffi)
  const rename = find('int renamex_np(const char *, const char *, unsigned int)') as IntCall | null
  const flagged = (flag: number, from: string, to: string): boolean =>
    rename !== null && succeeded(koffi, rename(from, to, flag), 'renamex_np', from, to)
  return {
    ...NONE,
    renameNew: rename && ((from, to) => flagged(4, from, to)),
    exchange: rename && ((a, b) => flagged(2, a, b)),
    setModified: modifier(koffi, find, AT_CWD_MACOS, -2n, 0x20),
  }
}

// What a kernel or a file system says to a call or flag that it does not know.
const UNKNOWN_CALL = new Set(['ENOSYS', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP'])

function succeeded(koffi: Ffi, result: number, syscall: string, path: string, dest: string): boolean {
  if (result === 0) return true
  const error = failure(koffi, syscall, path, dest)
  if (UNKNOWN_CALL.has(error.code ?? '')) return false
  throw error
}

function failure(koffi: Ffi, syscall: string, path: string, dest?: string): NodeJS.ErrnoException {
  const errno = koffi.errno()
  return systemError(getSystemErrorName(-errno), syscall, path, dest, -errno)
}

/** An error as Node makes them. */
export function systemError(
  code: string,
  syscall: string,
  path: string,
  dest?: string,
  errno?: number,
): NodeJS.ErrnoException {
  const to = dest === undefined ? '' : ` -> '${dest}'`
  const error: NodeJS.ErrnoException = new Error(`${code}: ${syscall} '${path}'${to}`)
  return Object.assign(
    error,
    { code, syscall, path },
    dest === undefined ? {} : { dest },
    errno === undefined ? {} : { errno },
  )
}

function modifier(
  koffi: Ffi,
  find: ReturnType<typeof symbols>,
  cwd: number,
  omit: bigint,
  noFollow: number,
): Native['setModified'] {
  const call = find('int utimensat(int, const char *, const int64_t *, int)') as IntCall | null
  if (!call) return null
  return (path, mtimeNs) => {
    if (call(cwd, path, timesOf(mtimeNs, omit), noFollow) !== 0) throw failure(koffi, 'utimensat', path)
  }
}

function openModifier(koffi: Ffi, find: ReturnType<typeof symbols>, omit: bigint): Native['setOpenModified'] {
  const call = find('int futimens(int, const int64_t *)') as IntCall | null
  if (!call) return null
  return (descriptor, mtimeNs) => {
    if (call(descriptor, timesOf(mtimeNs, omit)) !== 0) throw failure(koffi, 'futimens', `/proc/self/fd/${descriptor}`)
  }
}

function timesOf(mtimeNs: bigint, omit: bigint): BigInt64Array {
  const fraction = BigInt.asIntN(64, ((mtimeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n)
  return new BigInt64Array([0n, omit, (mtimeNs - fraction) / 1_000_000_000n, fraction])
}

function syncer(call: ReturnType<ReturnType<typeof symbols>>): Native['syncFileSystem'] {
  if (!call) return null
  return (descriptor) =>
    new Promise((resolve, reject) => {
      call.async(descriptor, (error: Error | null, result: number) => {
        if (error) reject(error)
        else if (result === 0) resolve()
        // The worker's errno is not ours to read: EIO is what syncfs reports of lost writes.
        else reject(systemError('EIO', 'syncfs', `/proc/self/fd/${descriptor}`))
      })
    })
}

const SET_SIGNAL = 10
const SIGURG = 23
const SET_LEASE = 1024
const READ_LEASE = 0
const NO_LEASE = 2

/**
 * A read lease is refused (EAGAIN) while anyone has the file open for writing. One that was granted is given back at once; a writer that
 * opens in that microsecond waits for it, and the kernel tells us by a signal: SIGURG, which is ignored, and not the deadly default SIGIO.
 */
function leaseProbe(koffi: Ffi, fcntl: IntCall | null): Native['hasWriter'] {
  if (!fcntl) return null
  return (descriptor) => {
    if (fcntl(descriptor, SET_SIGNAL, SIGURG) !== 0) return null
    if (fcntl(descriptor, SET_LEASE, READ_LEASE) === 0) {
      fcntl(descriptor, SET_LEASE, NO_LEASE)
      return false
    }
    return koffi.errno() === koffi.os.errno['EAGAIN'] ? true : null
  }
}
