import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { sha256, type Hash } from '../../content/hash.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Content } from '../ports.ts'
import { TREES, type Tree } from '../view/bounds.ts'
import type { PageRow } from '../view/pages.ts'
import type { Summary, Top } from '../view/start.ts'

/** The highest format of a checkpoint that this program reads. */
const FORMAT = 2
/** Of what a page may become when it is unpacked: a page holds at least one row, and a row may be an entry's conflicts. */
const MAX_PAGE_BYTES = 512 * 1024 * 1024

/** A part of a checkpoint that is missing or altered in Content. */
export class PageLost extends Error {
  override readonly name = 'PageLost'

  constructor(hash: Hash, problem: string) {
    super(`page ${hash} of a checkpoint ${problem}`)
  }
}

export interface Chunk {
  readonly hash: Hash
  readonly bytes: Uint8Array
}

/** A page is its rows as JSON, compressed. */
export function encodePage(rows: readonly string[]): Chunk {
  const bytes = zstdCompressSync(Buffer.from(`[${rows.join(',')}]`))
  return { hash: sha256(bytes), bytes }
}

/** Reads pages from Content. Throws `PageLost` for one that is not there, or other than its hash says. */
export async function readPages(content: Content, hashes: readonly Hash[]): Promise<readonly (readonly PageRow[])[]> {
  const found = await content.get(hashes)
  return hashes.map((hash, index) => decodePage(hash, found[index] ?? null))
}

function decodePage(hash: Hash, bytes: Uint8Array | null): readonly PageRow[] {
  checkBytes(hash, bytes)
  try {
    const rows: unknown = JSON.parse(zstdDecompressSync(bytes, { maxOutputLength: MAX_PAGE_BYTES }).toString('utf8'))
    if (Array.isArray(rows) && rows.every(Array.isArray)) return rows as PageRow[]
  } catch {
    // Told below: whatever it is, no program wrote it as a page.
  }
  throw new PageLost(hash, 'is no page')
}

function checkBytes(hash: Hash, bytes: Uint8Array | null): asserts bytes is Uint8Array {
  if (bytes === null) throw new PageLost(hash, 'is not there')
  if (sha256(bytes) !== hash) throw new PageLost(hash, 'does not hold the bytes of its hash')
}

/** Of format 1 unless bytes were dropped: programs that do not know of that would promise them. */
export function encodeRoot({ dropped = 0, ...summary }: Summary): Chunk {
  const rest = dropped === 0 ? summary : { ...summary, dropped }
  const bytes = Buffer.from(JSON.stringify({ checkpoint: dropped === 0 ? 1 : FORMAT, ...rest }))
  return { hash: sha256(bytes), bytes }
}

/** Throws `PageLost` if it is not there, `NotSupported` for a newer format. */
export async function readRoot(content: Content, hash: Hash): Promise<Summary> {
  const [bytes] = await content.get([hash])
  checkBytes(hash, bytes ?? null)
  const root = parse(bytes ?? null)
  const format = root['checkpoint']
  if (typeof format === 'number' && format > FORMAT) {
    throw new BlobsError(
      'NotSupported',
      `checkpoint ${hash} has format ${format}; this program reads up to ${FORMAT}`,
      {
        hint: 'another program wrote it: install the same version of blobs here',
      },
    )
  }
  const { epoch, entry, created, options } = root
  const texts = [epoch, entry, created, options]
  const counts = [root['position'], root['blobs'], root['bytes'], root['serial'], root['dropped'] ?? 0]
  const trees = (root['trees'] ?? {}) as Record<Tree, unknown>
  const isSound =
    (format === 1 || format === FORMAT) &&
    texts.every((text) => typeof text === 'string') &&
    counts.every(Number.isSafeInteger) &&
    TREES.every((tree) => isTop(trees[tree]))
  if (!isSound) throw new PageLost(hash, 'is no root')
  return root as unknown as Summary
}

function parse(bytes: Uint8Array | null): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes ?? []).toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

function isTop(value: unknown): value is Top | null {
  return value === null || (Array.isArray(value) && typeof value[0] === 'string' && Number.isSafeInteger(value[1]))
}
