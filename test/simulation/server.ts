import { openMemory } from '../../src/backends/memory/memory.ts'
import type { Hash } from '../../src/content/hash.ts'
import type { Clock, Ids } from '../../src/platform/ports.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { Backend, BucketPorts, Placed } from '../../src/store/ports.ts'
import type { Coverage } from './coverage.ts'

/** The place that holds the bucket: a store over a backend in memory, which can die, come back, and go back in time. */
export interface Server {
  /** Throws `Unavailable` while it is down. */
  store(): BlobStore
  up(): boolean
  /** Dies before or after its `at`th write from now. */
  killAt(at: number, done: boolean): void
  kill(): void
  /** Starts it from what was durable. */
  start(): Promise<void>
  /** Keeps a copy of what is durable now. */
  backup(): void
  /** Brings the kept copy back; false if there is none. */
  restore(): Promise<boolean>
}

interface Copy {
  readonly entries: readonly Placed[]
  readonly chunks: ReadonlyMap<Hash, Uint8Array>
}

export async function openServer(options: { clock: Clock; ids: Ids; coverage: Coverage }): Promise<Server> {
  const { clock, ids, coverage } = options
  let chunks = new Map<Hash, Uint8Array>()
  let entries: Placed[] = []
  let backend: Backend = openMemory()
  await backend.create('team')
  let life = 0
  let current: BlobStore | null = null
  let copy: Copy | null = null
  let trap: { left: number; done: boolean } | null = null

  const down = (): BlobsError => new BlobsError('Unavailable', 'the server is down (injected)')
  const ports = (inner: BucketPorts, own: number): BucketPorts => {
    const writing = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
      if (life !== own) throw down()
      if (trap !== null && --trap.left <= 0) {
        const { done } = trap
        trap = null
        if (done) await act()
        coverage.count(`kill: server ${done ? 'after' : 'before'} ${name}`)
        life++
        current = null
        throw down()
      }
      return act()
    }
    return {
      log: {
        ...inner.log,
        append: (added) =>
          writing('append', async () => {
            const positions = await inner.log.append(added)
            positions.forEach((position, i) => {
              const entry = added[i]
              if (entry) entries.push({ ...entry, data: new Uint8Array(entry.data), position })
            })
            return positions
          }),
      },
      content: {
        ...inner.content,
        put: (added) =>
          writing('put', async () => {
            await inner.content.put(added)
            for (const { hash, bytes } of added) chunks.set(hash, new Uint8Array(bytes))
          }),
      },
    }
  }
  const start = async (): Promise<void> => {
    trap = null
    if (current !== null) return
    const own = ++life
    const inner = await backend.open('team')
    if (inner === null) throw new Error('the backend lost its bucket')
    const opened = await openLogStore({
      name: 'team',
      ports: ports(inner, own),
      viewDirectory: null,
      promises: backend.promises,
      clock,
      ids,
    })
    if (life === own) current = opened
  }
  await start()
  return {
    store: () => {
      if (current === null) throw down()
      return current
    },
    up: () => current !== null,
    killAt: (at, done) => void (trap = { left: at, done }),
    kill: () => {
      life++
      current = null
    },
    start,
    backup: () => void (copy = { entries: [...entries], chunks: new Map(chunks) }),
    restore: async () => {
      if (copy === null) return false
      life++
      current = null
      trap = null
      backend = openMemory()
      await backend.create('team')
      const inner = await backend.open('team')
      await inner?.log.append(copy.entries)
      await inner?.content.put([...copy.chunks].map(([hash, bytes]) => ({ hash, bytes })))
      entries = [...copy.entries]
      chunks = new Map(copy.chunks)
      await start()
      return true
    },
  }
}
