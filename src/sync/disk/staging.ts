import { hasher, sha256, type Hasher } from '../../content/hash.ts'
import type { Clock, FileStat, FileSystem } from '../../platform/ports.ts'
import { writeStream } from '../../platform/write-stream.ts'
import type { Content } from '../core/types.ts'
import { lookAtFile } from './look.ts'
import { codeOf } from './failure.ts'

/** Bytes that are in the temporary folder, whole and verified; durable once they were synced. */
export interface Staged {
  readonly at: string
  readonly stat: FileStat
}

export interface StageOptions {
  readonly fs: FileSystem
  readonly clock: Clock
  /** The temporary folder, held open. */
  readonly folder: string
  readonly op: string
  readonly content: Content
  readonly mtimeNs: bigint | null
  readonly onBytes?: ((count: number) => void) | undefined
  readonly signal?: AbortSignal | undefined
}

/** Ours, and never holds anything of a user. */
export const PART = '.part'
/** The same, as an earlier version of this program may have left it. */
export const OLD_PART = '.add'
const EARLIEST = -62_135_596_800n * 1_000_000_000n
const LATEST = 253_402_300_799n * 1_000_000_000n

/**
 * Writes a stream into the temporary folder. Throws what the source or the disk throws, and `Corrupt` (a plain error with that code) when
 * the bytes are not those that were announced; then nothing is left.
 */
export async function stageStream(source: AsyncIterable<Uint8Array>, options: StageOptions): Promise<Staged> {
  const { fs, op, folder, content } = options
  const part = `${folder}/${op}${PART}`
  try {
    const file = await fs.create(part, modeOf(content))
    try {
      const hash = hasher()
      const size = await writeStream(file, watched(source, hash, options), content.size)
      if (size !== content.size || hash.digest('hex') !== content.hash) throw notThese(size, content)
      setTime(part, options)
      return { at: part, stat: file.stat() }
    } finally {
      await file.close()
    }
  } catch (error) {
    discard(fs, part)
    throw error
  }
}

/** Passes a stream on, hashing it; stops behind the first piece that is too much. */
async function* watched(
  source: AsyncIterable<Uint8Array>,
  hash: Hasher,
  { content, signal, onBytes }: StageOptions,
): AsyncGenerator<Uint8Array> {
  let size = 0
  for await (const bytes of source) {
    signal?.throwIfAborted()
    size += bytes.byteLength
    hash.update(bytes)
    yield bytes
    if (size > content.size) return
    onBytes?.(bytes.byteLength)
  }
}

/** The same of bytes that are at hand, on the spot. */
export function stageBytes(bytes: Uint8Array, options: StageOptions): Staged {
  const { fs, op, folder, content } = options
  if (bytes.byteLength !== content.size || sha256(bytes) !== content.hash) throw notThese(bytes.byteLength, content)
  const part = `${folder}/${op}${PART}`
  try {
    return { at: part, stat: fs.writeSmall(part, bytes, modeOf(content), timeOf(options)) }
  } catch (error) {
    discard(fs, part)
    throw error
  }
}

/** The same from a file of this folder; null if that is not (any more) what it should be, or cannot be read. */
export async function stageCopy(from: string, options: StageOptions): Promise<Staged | null> {
  const { fs, clock, op, folder, content } = options
  const part = `${folder}/${op}${PART}`
  try {
    await fs.copy(from, part)
    const look = await lookAtFile(fs, clock, part, { takeBusy: true, signal: options.signal })
    if (look.kind !== 'file' || look.content.hash !== content.hash) {
      discard(fs, part)
      return null
    }
    fs.chmod(part, withExecutable(look.stat.mode, content.executable))
    setTime(part, options)
    const stat = fs.lstat(part)
    return stat && { at: part, stat }
  } catch {
    // Whatever it was, the bucket has the bytes too, and meets the same disk.
    discard(fs, part)
    return null
  }
}

/**
 * Gives bytes that are durable by now the name under which a crash may find something else in their place: they change places with a
 * user's file, which the journal must know by then.
 */
export function nameStaged(fs: FileSystem, { at, stat }: Staged): Staged {
  const named = `${at.slice(0, -PART.length)}.new`
  fs.rename(at, named)
  return { at: named, stat }
}

/** Permission bits with the executable bit set for whoever may read, or for nobody; never set-user-id and the like. */
export function withExecutable(mode: number, executable: boolean): number {
  const plain = mode & 0o666
  return executable ? plain | ((plain & 0o444) >> 2) : plain
}

/** Removes what is ours; what is not there, or cannot be removed now, is left to the next recovery. */
export function discard(fs: FileSystem, at: string): void {
  try {
    if (fs.lstat(at)) fs.unlink(at)
  } catch (error) {
    if (codeOf(error) === null) throw error
  }
}

function modeOf(content: Content): number {
  return content.executable ? 0o777 : 0o666
}

function setTime(part: string, options: StageOptions): void {
  const time = timeOf(options)
  if (time !== null) options.fs.setModified(part, time)
}

/** Null for a time that no disk holds. */
function timeOf({ mtimeNs }: StageOptions): bigint | null {
  return mtimeNs !== null && mtimeNs >= EARLIEST && mtimeNs <= LATEST ? mtimeNs : null
}

function notThese(size: number, content: Content): Error {
  const message = `got ${size} bytes that are not the ${content.size} bytes of SHA-256 ${content.hash}`
  return Object.assign(new Error(message), { code: 'Corrupt' })
}
