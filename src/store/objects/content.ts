import type { Hash } from '../../content/hash.ts'
import type { Ids } from '../../platform/ports.ts'
import type { Content } from '../ports.ts'
import { openAside } from './aside.ts'
import { eachOf } from './each.ts'
import type { Objects } from './objects.ts'

export interface ObjectContentOptions {
  readonly objects: Objects
  /** What the names of this bucket's objects start with; ends with a slash. */
  readonly root: string
  /** Throws `NotFound` once the bucket is removed. */
  readonly checkPresent: () => Promise<unknown>
  readonly ids: Ids
  /** Calls at the same time. */
  readonly parallel: number
}

/** Content where each chunk is an object, `content/HH/HASH`. */
export function objectContent({ objects, root, checkPresent, ids, parallel }: ObjectContentOptions): Content {
  const nameOf = (hash: Hash): string => `${root}content/${hash.slice(0, 2)}/${hash}`
  const hashOf = (name: string): Hash => name.slice(-64)
  const aside = openAside({ objects, root, nameOf, ids })
  const read = async (hash: Hash): Promise<Uint8Array | null> => {
    const name = nameOf(hash)
    // What is put back is there before it is aside no more.
    return (await objects.read(name)) ?? (await aside.read(hash)) ?? objects.read(name)
  }
  return {
    put: async (chunks) => {
      if (chunks.length === 0) return
      const named = chunks.map(({ hash, bytes }) => ({ name: nameOf(hash), bytes }))
      // Who removes a bucket meanwhile is told by the log, which every chunk is put for.
      await Promise.all([objects.createAll(named), checkPresent()])
    },
    get: (hashes) => eachOf(hashes, parallel, read),
    missing: async (hashes) => (await objects.missing(hashes.map(nameOf))).map(hashOf),
    sweeping: {
      now: () => objects.now(),
      chunks: async function* () {
        for await (const batch of objects.list({ prefix: `${root}content/` })) {
          yield batch.map(({ name, size, modified }) => ({ hash: hashOf(name), size, modified }))
        }
      },
      remove: (chunks) => aside.take(chunks),
      aside,
    },
    close: async () => undefined,
  }
}
