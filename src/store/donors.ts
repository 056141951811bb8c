import { join } from 'node:path'
import { bodyBuilder, type Addressed } from '../content/body.ts'
import { cut } from '../content/chunker.ts'
import { sha256, type Hash } from '../content/hash.ts'
import type { FileSystem, FolderItem } from '../platform/ports.ts'
import type { BlobStore, Buckets } from './contract/blob-store.ts'
import { isBlobsError } from './contract/errors.ts'
import { lostVersions, type LostVersion } from './check.ts'
import type { Backend, BucketPorts, Content } from './ports.ts'
import type { View } from './view/view.ts'

/** Takes bytes that were found; those that nobody misses are let go. */
type Bring = (chunk: Addressed) => Promise<void>

/** A place that may have bytes that are missing elsewhere. */
export interface Donor {
  /** Gives what it has of `wanted`, which shrinks meanwhile, to `bring`; also other things. */
  give(wanted: ReadonlySet<Hash>, lost: readonly LostVersion[], bring: Bring): Promise<void>
}

const PIECE = 1024 * 1024
/** Hashes asked of a store at once. */
const BATCH = 256

export interface ChunkSearch {
  readonly ports: BucketPorts
  /** What the log of the bucket says. */
  readonly view: View
  /** Asked in their order. */
  readonly donors: readonly Donor[]
  readonly pace: (bytes: number) => Promise<void>
}

/** Brings lost chunks back until none is found any more (a list that is back tells of others); gives how many. */
export async function restoreChunks({ ports, view, donors, pace }: ChunkSearch): Promise<number> {
  let brought = 0
  for (;;) {
    const lost: LostVersion[] = []
    for await (const version of lostVersions({ ports, isDamaged: () => false }, view)) lost.push(version)
    const wanted = new Set(lost.flatMap(({ hashes }) => hashes))
    const before = brought
    const bring: Bring = async ({ hash, bytes }) => {
      await pace(bytes.length)
      if (!wanted.has(hash) || sha256(bytes) !== hash) return
      await ports.content.put([{ hash, bytes }])
      wanted.delete(hash)
      brought += 1
    }
    for (const donor of donors) if (wanted.size > 0) await donor.give(wanted, lost, bring)
    if (brought === before) return brought
  }
}

/** The files in a folder, cut as they would be to be put. Links are not followed, what cannot be read is passed over. */
export function folderDonor(fs: FileSystem, folder: string): Donor {
  return {
    give: async (wanted, _lost, bring) => {
      for (const path of filesIn(fs, folder)) {
        if (wanted.size === 0) return
        await cutAll(readFile(fs, path), bring).catch(unlessUnreadable)
      }
    },
  }
}

/** Another store of this kind. */
export function backendDonor(backend: Backend): Donor {
  return {
    give: async (wanted, _lost, bring) => {
      for (const bucket of await backend.names()) {
        const ports = await backend.open(bucket)
        if (ports !== null) await giveAll(ports.content, [...wanted], bring)
        await Promise.all([ports?.log.close(), ports?.content.close()])
      }
    },
  }
}

async function giveAll(content: Content, hashes: readonly Hash[], bring: Bring): Promise<void> {
  for (let at = 0; at < hashes.length; at += BATCH) {
    const some = hashes.slice(at, at + BATCH)
    const bytes = await content.get(some)
    for (const [index, hash] of some.entries()) {
      const found = bytes[index] ?? null
      if (found !== null && sha256(found) === hash) await bring({ hash, bytes: found })
    }
  }
}

/** A bucket anywhere: blobs that have the key and the bytes of a version that is lost. */
export function bucketDonor(store: BlobStore): Donor {
  return {
    give: async (_wanted, lost, bring) => {
      for (const { info } of lost) {
        const version = await findVersion(store, info.key, info.hash)
        const blob = version === null ? null : await store.get(info.key, { version })
        if (blob !== null) await cutAll(blob.stream, bring).catch(unlessDamaged)
      }
    },
  }
}

/** All buckets of a place: of a version that is lost, the bucket of the same name. */
export function bucketsDonor(buckets: Buckets): Donor {
  return {
    give: async (wanted, lost, bring) => {
      const names = new Set(lost.map(({ info }) => info.bucket))
      for await (const { name: bucket } of buckets.list()) {
        if (!names.has(bucket)) continue
        const store = await buckets.open(bucket)
        await bucketDonor(store).give(wanted, lost, bring)
        await store.close()
      }
    },
  }
}

async function findVersion(store: BlobStore, key: string, hash: Hash): Promise<number | null> {
  for (let after: string | undefined; ;) {
    const page = await store.list({
      prefix: key,
      versions: true,
      limit: 1000,
      ...(after === undefined ? {} : { after }),
    })
    for (const item of page.items) {
      if (item.key !== key) return null
      if (item.hash === hash) return item.version
    }
    if (page.complete || page.next === undefined) return null
    after = page.next
  }
}

async function cutAll(source: AsyncIterable<Uint8Array>, bring: Bring): Promise<void> {
  const builder = bodyBuilder()
  for await (const bytes of cut(source)) {
    const hash = sha256(bytes)
    await bring({ hash, bytes })
    for (const list of builder.add({ hash, size: bytes.length })) await bring(list)
  }
  for (const list of builder.finish().lists) await bring(list)
}

function* filesIn(fs: FileSystem, folder: string): Generator<string, void> {
  for (const { name, kind } of listOrNone(fs, folder)) {
    if (name === null) continue
    const path = join(folder, name)
    if (kind === 'file') yield path
    if (kind === 'folder') yield* filesIn(fs, path)
  }
}

function listOrNone(fs: FileSystem, folder: string): readonly FolderItem[] {
  try {
    return fs.list(folder)
  } catch (error) {
    unlessUnreadable(error)
    return []
  }
}

async function* readFile(fs: FileSystem, path: string): AsyncGenerator<Uint8Array, void> {
  const file = await fs.open(path)
  try {
    for (let at = 0; ;) {
      const buffer = Buffer.allocUnsafeSlow(PIECE)
      const count = await file.read(buffer, at)
      if (count === 0) return
      at += count
      yield buffer.subarray(0, count)
    }
  } finally {
    await file.close()
  }
}

function unlessUnreadable(error: unknown): void {
  if (error instanceof Error && 'syscall' in error) return
  throw error
}

function unlessDamaged(error: unknown): void {
  if (!isBlobsError(error, 'Corrupt')) throw error
}
