import type { Hash } from '../../content/hash.ts'
import type { Content } from '../ports.ts'
import { eachOf } from './each.ts'
import type { Objects } from './objects.ts'

export interface ObjectContentOptions {
  readonly objects: Objects
  /** What the names of this bucket's objects start with; ends with a slash. */
  readonly root: string
  /** Throws `NotFound` once the bucket is removed. */
  readonly checkPresent: () => Promise<unknown>
  /** Calls at the same time. */
  readonly parallel: number
}

/** Content where each chunk is an object, `content/HH/HASH`. */
export function objectContent({ objects, root, checkPresent, parallel }: ObjectContentOptions): Content {
  const nameOf = (hash: Hash): string => `${root}content/${hash.slice(0, 2)}/${hash}`
  const hashOf = (name: string): Hash => name.slice(-64)
  return {
    put: async (chunks) => {
      if (chunks.length === 0) return
      const named = chunks.map(({ hash, bytes }) => ({ name: nameOf(hash), bytes }))
      // Who removes a bucket meanwhile is told by the log, which every chunk is put for.
      await Promise.all([objects.createAll(named), checkPresent()])
    },
    get: (hashes) => eachOf(hashes, parallel, (hash) => objects.read(nameOf(hash))),
    missing: async (hashes) => (await objects.missing(hashes.map(nameOf))).map(hashOf),
    sweeping: {
      chunks: async function* () {
        for await (const batch of objects.list({ prefix: `${root}content/` })) {
          yield batch.map(({ name, size, modified }) => ({ hash: hashOf(name), size, modified }))
        }
      },
      races: 'the place cannot tell, as it removes a chunk, whether that was asked for just now',
      remove: async (chunks) => {
        await objects.remove(chunks.map(({ hash }) => nameOf(hash)))
        return { chunks: chunks.length, bytes: chunks.reduce((sum, { size }) => sum + size, 0) }
      },
    },
    close: async () => undefined,
  }
}
