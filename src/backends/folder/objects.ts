import { dirname, join } from 'node:path'
import type { FileSystem, Ids } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { Objects } from '../../store/objects/objects.ts'
import { codeOf, knowFolder, told, telling } from './failures.ts'
import { listBelow } from './list.ts'
import { moveFiles } from './move.ts'
import { watchFolder } from './watch.ts'

/** Largest object, in bytes: no frame and no chunk is near it. */
const LARGEST = 64 * 1024 * 1024
/** Files that are written or read at the same time. */
const AT_ONCE = 16
/** Files that are made durable together. */
const GROUP = 512

export interface FolderOptions {
  /** Absolute; there. */
  readonly folder: string
  readonly fs: FileSystem
  readonly ids: Ids
  /** Nobody else writes: a file may take its name without the system's word that it replaces none. */
  readonly singleWriter: boolean
}
interface NewObject {
  readonly name: string
  readonly bytes: Uint8Array
}

/**
 * Objects as files of a folder that several machines may share. A file is written under `tmp/`, made durable, and then linked to its name,
 * which fails if the name is taken; where there are no links it is renamed, if the system refuses to replace. The umask of the process
 * decides who may read. Failures of the disk are told as errors that name the folder.
 */
export function openFolderObjects(options: FolderOptions): Objects {
  const { folder, fs } = options
  const checkFolder = knowFolder(fs, folder)
  const pathOf = (name: string): string => join(folder, name)
  const act = <T>(some: () => Promise<T>): Promise<T> =>
    telling(folder, () => {
      checkFolder()
      return some()
    })
  return {
    create: (name, bytes) => act(async () => (await makeFiles(options, [{ name, bytes }])) === 1),
    createAll: (objects) =>
      act(async () => {
        for (let at = 0; at < objects.length; at += GROUP) {
          const some = objects.slice(at, at + GROUP)
          const fresh = some.filter(({ name }) => fs.lstat(pathOf(name)) === null)
          await makeFiles(options, fresh)
          // Another process may have made it, and not be so far as to make its name durable.
          const old = new Set(some.filter((one) => !fresh.includes(one)).map(({ name }) => dirname(pathOf(name))))
          if (old.size > 0) await fs.syncGroup(folder, [...old])
        }
      }),
    read: (name) => act(async () => fs.readSmall(pathOf(name), LARGEST)),
    missing: (names) => act(async () => names.filter((name) => fs.lstat(pathOf(name)) === null)),
    list: async function* ({ prefix, after = '' }) {
      try {
        checkFolder()
        yield* listBelow(fs, folder, { prefix, after })
      } catch (error) {
        throw told(folder, error)
      }
    },
    remove: (names) =>
      act(async () => {
        for (const name of names) removeFile(fs, pathOf(name))
      }),
    move: (moves) =>
      act(async () => {
        const folders = new Set(moves.flatMap(({ from, to }) => [dirname(pathOf(from)), dirname(pathOf(to))]))
        for (const path of folders) makeFolder(fs, path)
        const paths = moves.map(({ from, to }) => ({ from: pathOf(from), to: pathOf(to) }))
        const moved = await moveFiles(fs, paths, () => timeOf(options))
        await fs.syncGroup(folder, [...folders])
        return moved
      }),
    now: () => act(() => timeOf(options)),
    ...(fs.isShared(folder) ? {} : { wait: ({ prefix, signal }) => watchFolder(pathOf(prefix), signal) }),
    close: async () => undefined,
  }
}

/** What the disk, which may be another machine's, gives a file that is written now. */
async function timeOf({ folder, fs, ids }: FolderOptions): Promise<number> {
  makeFolder(fs, join(folder, 'tmp'))
  const path = join(folder, 'tmp', ids.next())
  const file = await fs.create(path, 0o666)
  try {
    await file.write(Buffer.from('now\n'))
    return Number(file.stat().mtimeNs / 1_000_000n)
  } finally {
    await file.close()
    removeFile(fs, path)
  }
}

/** Gives how many names were free. */
async function makeFiles(
  { folder, fs, ids, singleWriter }: FolderOptions,
  objects: readonly NewObject[],
): Promise<number> {
  const written: { readonly path: string; readonly name: string }[] = []
  try {
    makeFolder(fs, join(folder, 'tmp'))
    await eachOf(objects, AT_ONCE, async ({ name, bytes }) => {
      const path = join(folder, 'tmp', ids.next())
      const file = await fs.create(path, 0o666)
      written.push({ path, name })
      await file.write(bytes).finally(() => file.close())
    })
    await fs.syncGroup(
      folder,
      written.map(({ path }) => path),
    )
    const folders = new Set<string>()
    let made = 0
    for (const { path, name } of written) {
      const place = join(folder, name)
      makeFolder(fs, dirname(place))
      folders.add(dirname(place))
      if (takeName(fs, path, place, singleWriter)) made += 1
    }
    await fs.syncGroup(folder, [...folders])
    return made
  } finally {
    for (const { path } of written) removeFile(fs, path)
  }
}

/** Gives a finished file its name; false if that is taken. The file may keep its old name as well. */
function takeName(fs: FileSystem, from: string, to: string, singleWriter: boolean): boolean {
  try {
    fs.link(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (!NO_LINKS.has(codeOf(error))) throw error
  }
  try {
    fs.renameNew(from, to)
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (!NO_LINKS.has(codeOf(error))) throw error
    if (!singleWriter) throw noPromise(dirname(to), error)
  }
  if (fs.lstat(to) !== null) return false
  fs.rename(from, to)
  return true
}
/** What systems say that have no such call. */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EMLINK'])

function noPromise(folder: string, cause: unknown): BlobsError {
  const message = `the file system of ${folder} cannot promise that a new file replaces none: several writers would overwrite each other`
  return new BlobsError('Refused', message, {
    cause,
    hint: 'if only one program ever writes there: --single-writer · else share a folder of another file system, or run blobs serve',
  })
}

function makeFolder(fs: FileSystem, path: string): void {
  if (fs.lstat(path) !== null) return
  makeFolder(fs, dirname(path))
  try {
    fs.mkdir(path, 0o777)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
  fs.syncFolder(dirname(path))
}

function removeFile(fs: FileSystem, path: string): void {
  try {
    fs.unlink(path)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
}
