import { join } from 'node:path'
import type { StoreHandle } from '../../platform/store-disk.ts'
import { packName } from './pack-format.ts'
import { explain } from './problems.ts'
import type { StoreFile } from './store-file.ts'

/** Files kept open, and reads under way, at most. */
const MAX_OPEN = 64
const MAX_READS = 16

export interface PackReader {
  /** `size` bytes at `place`, unverified; fewer if the file ends before, null if it is not there. */
  read(pack: number, place: number, size: number): Promise<Uint8Array | null>
  close(): Promise<void>
}

interface Opened {
  readonly file: Promise<StoreHandle | null>
  reading: number
}

/** Keeps the packs that were read lately open. */
export function openPackReader(store: StoreFile): PackReader {
  const files = new Map<number, Opened>()
  const slots = limiter(MAX_READS)

  const take = (pack: number): Opened => {
    const found = files.get(pack) ?? { file: store.disk.open(join(store.packs, packName(pack)), 'read'), reading: 0 }
    found.reading++
    files.delete(pack)
    files.set(pack, found)
    return found
  }
  const evict = async (): Promise<void> => {
    for (const [pack, opened] of files) {
      if (files.size <= MAX_OPEN) return
      if (opened.reading > 0) continue
      files.delete(pack)
      await close(opened)
    }
  }
  const read = async (pack: number, place: number, size: number): Promise<Uint8Array | null> => {
    const opened = take(pack)
    try {
      const file = await opened.file
      if (file !== null) return await readFully(file, place, size)
      files.delete(pack)
      return null
    } catch (error) {
      throw explain(error, store.directory)
    } finally {
      opened.reading--
      await evict()
    }
  }
  return {
    read: (pack, place, size) => slots(() => read(pack, place, size)),
    close: async () => {
      const all = [...files.values()]
      files.clear()
      await Promise.all(all.map(close))
    },
  }
}

async function close(opened: Opened): Promise<void> {
  const file = await opened.file.catch(() => null)
  await file?.close()
}

/** Fewer bytes where the file ends. */
export async function readFully(file: StoreHandle, place: number, size: number): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafeSlow(size)
  let filled = 0
  while (filled < size) {
    const count = await file.read(bytes.subarray(filled), place + filled)
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

/** Runs at most `most` at a time, the others in their order. */
function limiter(most: number): <T>(run: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (run) => {
    if (running >= most) await new Promise<void>((resolve) => waiting.push(resolve))
    else running++
    try {
      return await run()
    } finally {
      // The place goes to the next one without becoming free.
      const next = waiting.shift()
      if (next === undefined) running--
      else next()
    }
  }
}
