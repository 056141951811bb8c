import type { FileSystem } from '../../../src/platform/ports.ts'
import { disk } from './folder.ts'

/** How the n-th call to the disk goes wrong: the process dies before or after it has its effect, or the disk answers an error once. */
export type Fault = 'dies before' | 'dies after' | 'EIO'

export interface FaultyDisk extends FileSystem {
  /** Calls so far. */
  calls(): number
  /** The call that failed. */
  failed(): string | null
}

/**
 * A disk with one fault. After a death every call dies. Nothing waits for the platter unless `syncs` is given: most tests' crash is not a
 * power cut.
 */
export function faultyDisk(
  index: number,
  fault: Fault,
  base: FileSystem = disk,
  { syncs = false }: { readonly syncs?: boolean } = {},
): FaultyDisk {
  let calls = 0
  let dead = false
  let failed: string | null = null
  const run = <T>(name: string, call: () => T): T => {
    if (dead) throw new Error('dead')
    if (calls++ !== index) return call()
    failed = name
    if (fault === 'EIO') throw Object.assign(new Error(`EIO: ${name}`), { code: 'EIO' })
    if (fault === 'dies after') call()
    dead = true
    throw new Error(`died in ${name}`)
  }
  const later = async <T>(name: string, call: () => Promise<T>): Promise<T> => {
    let answer: Promise<T> | null = null
    try {
      return await run(name, () => (answer = call()))
    } catch (error) {
      // It had its effect; nobody hears of it.
      await (answer as Promise<T> | null)
      throw error
    }
  }
  return {
    calls: () => calls,
    failed: () => failed,
    lstat: (path) => run('lstat', () => base.lstat(path)),
    realpath: (path) => run('realpath', () => base.realpath(path)),
    isShared: (path) => base.isShared(path),
    list: (path) => run('list', () => base.list(path)),
    mkdir: (path, mode) => run('mkdir', () => base.mkdir(path, mode)),
    rmdir: (path) => run('rmdir', () => base.rmdir(path)),
    unlink: (path) => run('unlink', () => base.unlink(path)),
    rename: (from, to) => run('rename', () => base.rename(from, to)),
    renameNew: (from, to) => run('renameNew', () => base.renameNew(from, to)),
    exchange: (a, b) => run('exchange', () => base.exchange(a, b)),
    link: (from, to) => run('link', () => base.link(from, to)),
    chmod: (path, mode) => run('chmod', () => base.chmod(path, mode)),
    setModified: (path, time) => run('setModified', () => base.setModified(path, time)),
    readSmall: (path, limit) => run('readSmall', () => base.readSmall(path, limit)),
    writeSmall: (path, bytes, mode, time) => {
      run('create', () => base.writeSmall(path, bytes.subarray(0, bytes.byteLength >> 1), mode, null))
      base.unlink(path)
      return run('write', () => base.writeSmall(path, bytes, mode, time))
    },
    copy: (from, to) => later('copy', () => base.copy(from, to)),
    openFolder: (path) => run('openFolder', () => base.openFolder(path)),
    syncFolder: (path) => run('syncFolder', () => (syncs ? base.syncFolder(path) : undefined)),
    syncGroup: (path, files) => later('syncGroup', async () => (syncs ? base.syncGroup(path, files) : undefined)),
    open: async (path) => {
      const file = await later('open', () => base.open(path))
      return {
        ...file,
        stat: () => run('fstat', () => file.stat()),
        read: (buffer, position) => later('read', () => file.read(buffer, position)),
      }
    },
    create: async (path, mode) => {
      const file = await later('create', () => base.create(path, mode))
      return {
        ...file,
        write: (bytes) => later('write', () => file.write(bytes)),
        sync: () => later('fsync', async () => (syncs ? file.sync() : undefined)),
        stat: () => run('fstat', () => file.stat()),
      }
    },
  }
}
