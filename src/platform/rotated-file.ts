import { closeSync, constants, fchmodSync, fstatSync, openSync, renameSync, statSync, write } from 'node:fs'

/** A file of lines that is put aside when it is long, and begun anew. */
export interface RotatedFile {
  /** Takes a line, with its line feed; it is written soon, in order. What cannot be written is counted, and told by `lost` once it can. */
  write(line: string): void
  /** Resolves when all is written that can be. */
  close(): Promise<void>
}

export interface RotatedOptions {
  readonly path: string
  /** It is put aside, as `path.1`, before it would be longer. */
  readonly maxBytes: number
  /** How many are kept that were put aside, as `path.1` (the last) to `path.N`. */
  readonly keep: number
  /** The line that says that so many before it are lost. */
  readonly lost: (count: number) => string
  /** Told when writing begins to fail. */
  readonly onFailure: (error: Error) => void
}

/** Bytes that may wait for the disk. */
const WAITING = 8 * 1024 * 1024
const FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0)

/** Opens it for appending, mode 0600. Throws errno errors, ELOOP for a link among them; on a full disk it is opened once there is room. */
export function openRotatedFile(options: RotatedOptions): RotatedFile {
  const { path, lost, onFailure } = options
  let file = openUnlessFull(path, onFailure)
  let waiting: string[] = []
  let bytes = 0
  let gone = 0
  let failing = file === null
  let writing: Promise<void> | null = null

  const drain = async (): Promise<void> => {
    // A moment, in which others come: they are written together.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) {
      const lines = gone > 0 ? [lost(gone), ...waiting] : waiting
      const count = waiting.length
      waiting = []
      bytes = 0
      try {
        const text = Buffer.from(lines.join(''))
        file = ready(file, options, text.length)
        await append(file, text)
        gone = 0
        failing = false
      } catch (error) {
        gone += count
        if (!failing) onFailure(error as Error)
        failing = true
      }
    }
    writing = null
  }
  return {
    write: (line) => {
      if (bytes > WAITING) gone += 1
      else {
        waiting.push(line)
        bytes += line.length
      }
      writing ??= drain()
    },
    close: async () => {
      await writing
      if (file !== null) closeSync(file)
    },
  }
}

function openUnlessFull(path: string, onFailure: RotatedOptions['onFailure']): number | null {
  try {
    return openPrivate(path)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (code !== 'ENOSPC' && code !== 'EDQUOT') throw error
    onFailure(error as Error)
    return null
  }
}

function openPrivate(path: string): number {
  const file = openSync(path, FLAGS, 0o600)
  // It may have been there, made by a less careful hand.
  if ((fstatSync(file).mode & 0o077) !== 0) fchmodSync(file, 0o600)
  return file
}

/** The file to append so much to: another one, where this one is long enough or was put aside by somebody else. */
function ready(file: number | null, { path, maxBytes, keep }: RotatedOptions, more: number): number {
  if (file === null) return openPrivate(path)
  const { ino, size } = fstatSync(file)
  const here = statSync(path, { throwIfNoEntry: false })
  const mine = here?.ino === ino
  if (mine && (size === 0 || size + more <= maxBytes)) return file
  if (mine) putAside(path, keep)
  const next = openPrivate(path)
  closeSync(file)
  return next
}

function putAside(path: string, keep: number): void {
  for (let index = keep - 1; index >= 1; index--) {
    try {
      renameSync(`${path}.${index}`, `${path}.${index + 1}`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  renameSync(path, `${path}.1`)
}

/** All of it, also where the system takes less at once. */
async function append(file: number, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await new Promise<number>((resolve, reject) => {
      write(file, bytes, at, bytes.length - at, null, (error, written) => (error ? reject(error) : resolve(written)))
    })
  }
}
