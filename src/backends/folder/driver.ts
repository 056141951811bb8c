import { join } from 'node:path'
import type { FileSystem } from '../../platform/ports.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { openObjectBackend } from '../../store/objects/backend.ts'
import type { BackendContext, BackendPromises, Driver, PlaceAddress } from '../../store/ports.ts'
import { openFolderObjects } from './objects.ts'
import { codeOf } from './failures.ts'

const MIB = 1024 * 1024
const PROMISES: BackendPromises = {
  name: 'folder',
  durability: 'fsync',
  maxEntryBytes: MIB,
  live: 'polled',
  cannot: {},
}
/** Milliseconds between two looks where the system does not tell of changes. */
const LOOKS = [250, 2000] as const
/** Milliseconds after which a temporary file is what a crash left. */
const OLD = 86_400_000

/** A directory that is shared by several machines, or travels between them: `folder:///mnt/share//bucket/key`. */
export const folder: Driver = {
  promises: PROMISES,
  open: async (address, context) => {
    checkAddress(address)
    const fs = systemFileSystem()
    const path = address.path
    if (fs.lstat(path)?.kind !== 'folder') throw notThere(path)
    const objects = openFolderObjects({ folder: path, fs, ids: context.ids, singleWriter: context.singleWriter })
    removeLeftovers(fs, join(path, 'tmp'), context)
    return openObjectBackend({
      objects,
      promises: PROMISES,
      viewDirectory: join(context.cacheDirectory, 'views'),
      clock: context.clock,
      ids: context.ids,
      parallel: 16,
      maxFrameBytes: 8 * MIB,
      looks: LOOKS,
    })
  },
}

function checkAddress({ authority, options, text }: PlaceAddress): void {
  if (authority !== '' && authority !== 'localhost') {
    throw new BlobsError('InvalidRequest', `${text} names a host, ${authority}: a folder is on this machine`, {
      hint: 'mount it, and write three slashes: folder:///mnt/share//bucket',
    })
  }
  const [unknown] = options.keys()
  if (unknown === undefined) return
  throw new BlobsError('InvalidRequest', `${text}: there is no option ${unknown}`, {
    hint: 'a folder takes no options',
  })
}

function notThere(path: string): BlobsError {
  return new BlobsError('NotFound', `${path} is not a folder that is there`, {
    hint: `mount it, or make it: mkdir -p ${path} · a bucket in a folder is written folder:///FOLDER//BUCKET`,
  })
}

/** What a crash left long ago; whoever is still writing has a younger one. */
function removeLeftovers(fs: FileSystem, folder: string, { clock }: BackendContext): void {
  try {
    for (const { name } of fs.list(folder)) {
      const path = join(folder, name ?? '')
      const stat = name === null ? null : fs.lstat(path)
      if (stat?.kind === 'file' && Number(stat.mtimeNs / 1_000_000n) < clock.now() - OLD) fs.unlink(path)
    }
  } catch (error) {
    if (codeOf(error) === '') throw error
  }
}
