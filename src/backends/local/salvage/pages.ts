import type { StoreDisk, StorePieces } from '../../../platform/store-disk.ts'
import { PAGE } from './page-size.ts'
import { readFrames } from './wal.ts'

/** The pages of a database file and its WAL, read without SQLite, whatever state they are in. */
export interface Pages {
  /** Pages of the database file. */
  readonly count: number
  /** A page as the database has it: from the WAL as far as that is whole, else from the file. Null beyond the end. */
  read(page: number): Uint8Array | null
  /** Pages in the WAL behind what is whole there: some may be of commits that were acknowledged, some of none. */
  readonly beyond: readonly Beyond[]
  /** As `read`, but takes the last page in the WAL if there is one behind what is whole. */
  readBeyond(page: number): Uint8Array | null
  close(): void
}
interface Beyond {
  readonly page: number
  read(): Uint8Array | null
}

interface PagesOf {
  readonly disk: StoreDisk
  readonly database: string
  readonly wal: string
}

/** A file that is not there has no pages. */
export function openPages({ disk, database, wal: log }: PagesOf): Pages {
  const [file, wal] = [disk.openPieces(database), disk.openPieces(log)]
  const frames = wal === null ? [] : readFrames(wal.read)
  const whole = new Map(frames.filter((frame) => frame.whole).map(({ page, at }) => [page, at]))
  const rest = frames.filter((frame) => !frame.whole)
  const last = new Map(rest.map(({ page, at }) => [page, at]))
  const count = file === null ? 0 : Math.ceil(file.size / PAGE)
  const pageAt = (from: StorePieces | null, at: number): Uint8Array | null => {
    const bytes = from === null ? null : from.read(at, PAGE)
    return bytes?.length === PAGE ? bytes : null
  }
  const read = (page: number): Uint8Array | null => {
    const at = whole.get(page)
    return at === undefined ? pageAt(file, (page - 1) * PAGE) : pageAt(wal, at)
  }
  return {
    count: Math.max(count, ...whole.keys()),
    read,
    beyond: rest.map(({ page, at }) => ({ page, read: () => pageAt(wal, at) })),
    readBeyond: (page) => {
      const at = last.get(page)
      return at === undefined ? read(page) : pageAt(wal, at)
    },
    close: () => {
      for (const opened of [file, wal]) opened?.close()
    },
  }
}
