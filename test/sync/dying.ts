import type { FileSystem } from '../../src/platform/ports.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'

/** A process that is killed at its `at`th effect: that one is done or not, and nothing after it is. */
export interface Death {
  readonly fs: (fs: FileSystem) => FileSystem
  readonly store: (store: BlobStore) => BlobStore
  /** Effects so far. */
  count(): number
  happened(): boolean
}

class Killed extends Error {}

/** `done`: whether the effect at which it dies still happens, its answer being lost. */
export function dieAt(at: number, done: boolean): Death {
  let count = 0
  let dead = false
  const act = <T>(effect: () => T): T => {
    if (dead) throw new Killed('the process is dead')
    count++
    if (count < at) return effect()
    dead = true
    if (!done) throw new Killed('killed before')
    const result = effect()
    if (result instanceof Promise) {
      return result.then(
        () => {
          throw new Killed('killed after')
        },
        () => {
          throw new Killed('killed after')
        },
      ) as T
    }
    throw new Killed('killed after')
  }
  const alive = <T>(value: T): T => {
    if (dead) throw new Killed('the process is dead')
    return value
  }
  return {
    count: () => count,
    happened: () => dead,
    fs: (fs) => ({
      ...fs,
      mkdir: (path, mode) => act(() => fs.mkdir(path, mode)),
      rmdir: (path) => act(() => fs.rmdir(path)),
      unlink: (path) => act(() => fs.unlink(path)),
      rename: (from, to) => act(() => fs.rename(from, to)),
      renameNew: (from, to) => act(() => fs.renameNew(from, to)),
      exchange: (one, two) => act(() => fs.exchange(one, two)),
      link: (from, to) => act(() => fs.link(from, to)),
      chmod: (path, mode) => act(() => fs.chmod(path, mode)),
      setModified: (path, time) => act(() => fs.setModified(path, time)),
      create: (path, mode) => act(() => fs.create(path, mode)),
      writeSmall: (path, bytes, mode, time) => act(() => fs.writeSmall(path, bytes, mode, time)),
      copy: (from, to) => act(() => fs.copy(from, to)),
      syncGroup: async (path, files) => alive(await fs.syncGroup(path, files)),
    }),
    store: (store) => ({
      ...store,
      commit: (entries, options) => act(() => store.commit(entries, options)),
      stage: (chunks) => act(() => store.stage(chunks)),
      list: async (options) => alive(await store.list(options)),
      fetch: async function* (wants) {
        for await (const item of store.fetch(wants)) yield alive(item)
      },
      changes: async function* (options) {
        for await (const item of store.changes(options)) yield alive(item)
      },
    }),
  }
}
