import { dirname, join } from 'node:path'
import { hasher, isHash, type Hash } from '../../content/hash.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import type { FileStat, FileSystem, Ids, ReadFile } from '../../platform/ports.ts'
import { checkAddress, verified, type AddressedInfo, type AddressStore } from '../../store/contract/addresses.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { AddressDriver, PlaceAddress } from '../../store/ports.ts'
import { codeOf, told } from './failures.ts'

const PIECE = 1024 * 1024
const BATCH = 1000
const TEMPORARY = '.tmp-'

/** A flat directory of files that are called by their SHA-256: `folder+cas:///DIR`, as dataforge/unibus keeps its media. */
export const folderAddresses: AddressDriver = {
  open: async (address, { ids }) => {
    checkPlace(address)
    return openFolderAddresses({ folder: address.path, fs: systemFileSystem(), ids })
  },
}

interface FolderAddresses {
  readonly folder: string
  readonly fs: FileSystem
  readonly ids: Ids
}

function openFolderAddresses(options: FolderAddresses): AddressStore {
  const { folder, fs } = options
  const act = async <T>(some: () => Promise<T>): Promise<T> => {
    try {
      return await some()
    } catch (error) {
      throw told(folder, error)
    }
  }
  const find = async (hash: Hash): Promise<AddressedInfo | null> => {
    const stat = fs.lstat(join(folder, checkAddress(hash)))
    return stat?.kind === 'file' ? infoOf(hash, stat) : null
  }
  return {
    find: (hash) => act(() => find(hash)),
    put: (source, { expected } = {}) =>
      act(async () => {
        const there = expected === undefined ? null : await find(expected.hash)
        return there !== null && there.size === expected?.size ? there : write(options, source, expected?.hash)
      }),
    get: (hash) =>
      act(async () => {
        const info = await find(hash)
        if (info === null) return null
        const path = join(folder, hash)
        return { info, stream: verified(read(fs, path), hash, path) }
      }),
    list: async function* () {
      let batch: AddressedInfo[] = []
      for (const { name, kind } of await act(async () => fs.list(folder))) {
        const info = name === null || kind !== 'file' || !isHash(name) ? null : await act(() => find(name))
        if (info !== null) batch.push(info)
        if (batch.length < BATCH) continue
        yield batch
        batch = []
      }
      if (batch.length > 0) yield batch
    },
    close: async () => undefined,
  }
}

/** Written beside its place, made durable, then renamed: nobody sees a part of it. */
async function write(
  { folder, fs, ids }: FolderAddresses,
  source: AsyncIterable<Uint8Array>,
  expected: Hash | undefined,
): Promise<{ readonly hash: Hash; readonly size: number }> {
  makeFolder(fs, folder)
  const temporary = join(folder, `${TEMPORARY}${ids.next()}`)
  const sum = hasher()
  let size = 0
  try {
    const file = await fs.create(temporary, 0o666)
    try {
      for await (const bytes of source) {
        sum.update(bytes)
        size += bytes.length
        await file.write(bytes)
      }
      const hash = sum.digest('hex')
      if (expected !== undefined && hash !== expected) throw changed()
      const path = join(folder, hash)
      // One of another length is damaged: it is replaced by what it should be.
      if (fs.lstat(path)?.size === size) return { hash, size }
      await file.sync()
      fs.rename(temporary, path)
      fs.syncFolder(folder)
      return { hash, size }
    } finally {
      await file.close()
    }
  } finally {
    if (fs.lstat(temporary) !== null) fs.unlink(temporary)
  }
}

/** Makes the folder, not those above it: they may be a disk that is not mounted. */
function makeFolder(fs: FileSystem, folder: string): void {
  const kind = fs.lstat(folder)?.kind
  if (kind !== undefined) return
  try {
    fs.mkdir(folder, 0o755)
    fs.syncFolder(dirname(folder))
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    throw new BlobsError('NotFound', `${dirname(folder)} is not a folder that is there`, {
      hint: `mount it, or make it: mkdir -p ${folder}`,
    })
  }
}

async function* read(fs: FileSystem, path: string): AsyncGenerator<Uint8Array> {
  const file = await fs.open(path)
  try {
    yield* pieces(file)
  } finally {
    await file.close()
  }
}

async function* pieces(file: ReadFile): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.allocUnsafeSlow(PIECE)
  for (let position = 0; ;) {
    const count = await file.read(buffer, position)
    if (count === 0) return
    position += count
    yield buffer.subarray(0, count)
  }
}

function infoOf(hash: Hash, { size, mtimeNs }: FileStat): AddressedInfo {
  return { hash, size, modified: Number(mtimeNs / 1_000_000n) }
}

function changed(): BlobsError {
  return new BlobsError('Unavailable', 'the bytes changed while they were read', {
    hint: 'try again when nothing writes to them',
  })
}

function checkPlace({ authority, options, path, text }: PlaceAddress): void {
  if ((authority !== '' && authority !== 'localhost') || path === '') {
    throw new BlobsError('InvalidRequest', `${text} names no folder of this machine`, {
      hint: 'write three slashes: folder+cas:///srv/media',
    })
  }
  const [unknown] = options.keys()
  if (unknown === undefined) return
  throw new BlobsError('InvalidRequest', `${text}: there is no option ${unknown}`, { hint: 'it takes no options' })
}
