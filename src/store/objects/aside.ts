import type { Hash } from '../../content/hash.ts'
import type { Ids } from '../../platform/ports.ts'
import type { Aside, Removed, StoredChunk } from '../ports.ts'
import { eachOf } from './each.ts'
import type { Objects } from './objects.ts'

/** Objects that are put back at the same time. */
const RESTORED = 4

export interface AsideOptions {
  readonly objects: Objects
  /** What the names of this bucket's objects start with; ends with a slash. */
  readonly root: string
  /** Name of a chunk that is not aside. */
  readonly nameOf: (hash: Hash) => string
  readonly ids: Ids
}

/** Chunks that were set aside: the object `aside/HH/HASH.ID`, with an ID that is new each time. So what removes one removes no other. */
export interface ObjectAside extends Aside {
  /** Of chunks as they were listed. */
  take(chunks: readonly StoredChunk[]): Promise<Removed>
  /** Null if it is not aside. */
  read(hash: Hash): Promise<Uint8Array | null>
}

export function openAside({ objects, root, nameOf, ids }: AsideOptions): ObjectAside {
  const folder = `${root}aside/`
  const stemOf = (hash: Hash): string => `${folder}${hash.slice(0, 2)}/${hash}`
  const namesOf = (chunks: readonly StoredChunk[]): readonly string[] => chunks.flatMap(({ tag }) => tag ?? [])
  return {
    take: async (chunks) => {
      const moves = chunks.map(({ hash }) => ({ from: nameOf(hash), to: `${stemOf(hash)}.${ids.next()}` }))
      const moved = await objects.move(moves)
      return sumOf(moved.flatMap((index) => chunks[index] ?? []))
    },
    read: async (hash) => {
      const stem = stemOf(hash)
      for await (const batch of objects.list({ prefix: `${folder}${hash.slice(0, 2)}/`, after: stem })) {
        for (const { name } of batch) {
          if (!name.startsWith(`${stem}.`)) return null
          const bytes = await objects.read(name)
          if (bytes !== null) return bytes
        }
      }
      return null
    },
    chunks: async function* () {
      for await (const batch of objects.list({ prefix: folder })) {
        yield batch.map(({ name, size, modified }) => ({ hash: hashIn(name), size, modified, tag: name }))
      }
    },
    restore: async (chunks) => {
      await eachOf(chunks, RESTORED, async ({ hash, tag = '' }) => {
        const bytes = await objects.read(tag)
        if (bytes !== null) await objects.createAll([{ name: nameOf(hash), bytes }])
      })
      await objects.remove(namesOf(chunks))
    },
    remove: async (chunks) => {
      await objects.remove(namesOf(chunks))
      return sumOf(chunks)
    },
  }
}

function hashIn(name: string): Hash {
  return name.split('/').at(-1)?.slice(0, 64) ?? ''
}

function sumOf(chunks: readonly StoredChunk[]): Removed {
  return { chunks: chunks.length, bytes: chunks.reduce((sum, { size }) => sum + size, 0) }
}
