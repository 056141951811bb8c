import { setImmediate } from 'node:timers/promises'
import { sha256, type Hash } from '../../../content/hash.ts'
import { bucketSum, entrySum, packSum } from '../sums.ts'
import { PAGE } from './page-size.ts'
import type { Pages } from './pages.ts'
import { rowsOf, type Row } from './records.ts'

/** A row of the store that has proved itself, or, a chunk in a pack, that its pack must prove. */
export type Found =
  | { readonly table: 'buckets'; readonly id: number; readonly name: string | null }
  | { readonly table: 'packs'; readonly id: number; readonly used: number | null }
  | {
      readonly table: 'log'
      readonly bucket: number
      readonly position: number
      readonly id: string
      readonly data: Uint8Array
      readonly sum: number
    }
  /** `hash` is that of the bytes, whatever the row says. `bucket` is null if the row says something else. */
  | { readonly table: 'chunks'; readonly bucket: number | null; readonly hash: Hash; readonly bytes: Uint8Array }
  | {
      readonly table: 'placed'
      readonly bucket: number
      readonly hash: Hash
      readonly size: number
      readonly pack: number
      readonly place: number
    }

/** Pages read without a pause. */
const STRIDE = 64

/** Every row in the file that can be made out, wherever it is, often more than once; `beyond` tells those of the WAL behind its damage. */
export async function* findRows(
  pages: Pages,
  pace: (bytes: number) => Promise<void>,
): AsyncGenerator<{ readonly found: Found; readonly beyond: boolean }, void> {
  for (let page = 1; page <= pages.count; page++) {
    const bytes = pages.read(page)
    if (bytes !== null) for (const row of rowsOf(bytes, page, (other) => pages.read(other))) yield* proven(row, false)
    if (page % STRIDE === 0) await rest(pace)
  }
  for (const [index, frame] of pages.beyond.entries()) {
    const bytes = frame.read()
    if (bytes !== null)
      for (const row of rowsOf(bytes, frame.page, (other) => pages.readBeyond(other))) yield* proven(row, true)
    if (index % STRIDE === 0) await rest(pace)
  }
}

async function rest(pace: (bytes: number) => Promise<void>): Promise<void> {
  await setImmediate()
  await pace(STRIDE * PAGE)
}

function* proven(row: Row, beyond: boolean): Generator<{ readonly found: Found; readonly beyond: boolean }, void> {
  const found = readRow(row)
  if (found !== null) yield { found, beyond }
}

function readRow({ rowid, values }: Row): Found | null {
  if (rowid === null) return readEntry(values)
  if (values.length === 3) return readSmall(rowid, values)
  return values.length === 7 ? readChunk(values) : null
}

function readEntry([bucket, position, id, data, sum]: Row['values']): Found | null {
  if (typeof bucket !== 'number' || typeof position !== 'number' || typeof id !== 'string') return null
  if (!(data instanceof Uint8Array) || sum !== entrySum(bucket, position, id, data)) return null
  return { table: 'log', bucket, position, id, data, sum }
}

function readSmall(id: number, [empty, value, sum]: Row['values']): Found | null {
  if (empty !== null) return null
  const isName = value === null || typeof value === 'string'
  if (isName && sum === bucketSum(id, value)) return { table: 'buckets', id, name: value }
  const isUsed = value === null || typeof value === 'number'
  return isUsed && sum === packSum(id, value) ? { table: 'packs', id, used: value } : null
}

function readChunk([empty, bucket, hash, size, pack, place, bytes]: Row['values']): Found | null {
  if (empty !== null || typeof bucket !== 'number' || !(hash instanceof Uint8Array)) return null
  const address = Buffer.from(hash).toString('hex')
  if (bytes instanceof Uint8Array) {
    const actual = sha256(bytes)
    return { table: 'chunks', bucket: actual === address ? bucket : null, hash: actual, bytes }
  }
  if (typeof size !== 'number' || typeof pack !== 'number' || typeof place !== 'number') return null
  return { table: 'placed', bucket, hash: address, size, pack, place }
}
