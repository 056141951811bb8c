import { openLocal } from '../../src/backends/local/local.ts'
import { openMemory } from '../../src/backends/memory/memory.ts'
import type { Hash } from '../../src/content/hash.ts'
import type { StoreDisk } from '../../src/platform/store-disk.ts'
import type { Backend, BucketPorts, Placed } from '../../src/store/ports.ts'
import type { Chance } from './chance.ts'
import type { Life } from './life.ts'
import { DATA, openServerDisk } from './server-disk.ts'

/** What a server's process finds when it starts, and leaves behind when it dies. */
export interface Place {
  open(life: Life): Promise<{ readonly backend: Backend; readonly disk?: StoreDisk }>
  /** The process is dead. Gives how much of its disk vanished. */
  cut(power: boolean, chance: Chance): number
  /** Keeps a copy of what is there now; gives what brings it back. */
  copy(): () => Promise<void>
  setRoom(bytes: number): void
}

/** A server whose one bucket is in a memory that outlives it: the least work a history can have with it. */
export function memoryPlace(): Place {
  let backend: Backend = openMemory()
  let entries: Placed[] = []
  let chunks = new Map<Hash, Uint8Array>()

  const mortal = ({ log, content }: BucketPorts, { effect }: Life): BucketPorts => ({
    log: {
      ...log,
      append: (added) =>
        effect('append', async () => {
          const positions = await log.append(added)
          positions.forEach((position, i) => {
            const entry = added[i]
            if (entry) entries.push({ ...entry, data: new Uint8Array(entry.data), position })
          })
          return positions
        }),
    },
    content: {
      ...content,
      put: (added) =>
        effect('put', async () => {
          await content.put(added)
          for (const { hash, bytes } of added) chunks.set(hash, new Uint8Array(bytes))
        }),
    },
  })
  return {
    open: async (life) => {
      const inner = backend
      const open = async (name: string): Promise<BucketPorts | null> => {
        const ports = await inner.open(name)
        return ports && mortal(ports, life)
      }
      return { backend: { ...inner, open } }
    },
    cut: () => 0,
    copy: () => {
      const [keptEntries, keptChunks] = [[...entries], new Map(chunks)]
      return async () => {
        backend = openMemory()
        await backend.create('team')
        const ports = await backend.open('team')
        await ports?.log.append(keptEntries)
        await ports?.content.put([...keptChunks].map(([hash, bytes]) => ({ hash, bytes })))
        entries = [...keptEntries]
        chunks = new Map(keptChunks)
      }
    },
    setRoom: () => undefined,
  }
}

/** Small, so that packs are full now and then. */
const PACK_BYTES = 400_000

/** A server with the embedded store on a disk. */
export function localPlace(now: () => bigint): Place {
  const disk = openServerDisk(now)
  return {
    open: async (life) => {
      const own = disk.of(life)
      const options = {
        directory: DATA,
        clock: life.clock,
        disk: own,
        trust: 'thorough',
        packBytes: PACK_BYTES,
      } as const
      return { backend: await openLocal(options), disk: own }
    },
    cut: disk.cut,
    copy: () => {
      const kept = disk.copy()
      return async () => disk.restore(kept)
    },
    setRoom: disk.setRoom,
  }
}
