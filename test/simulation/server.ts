import { openDesk } from '../../src/access/desk.ts'
import type { Gate } from '../../src/access/gate.ts'
import type { Grant } from '../../src/access/grant.ts'
import type { Ids } from '../../src/platform/ports.ts'
import { openServer as openApp } from '../../src/server/serve.ts'
import { defaultBounds } from '../../src/server/times.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../../src/store/contract/errors.ts'
import type { Chance } from './chance.ts'
import type { Coverage } from './coverage.ts'
import { openLife, stamp, type Life, type Trap } from './life.ts'
import { localPlace, memoryPlace, type Place } from './places.ts'
import type { Scheduler } from './scheduler.ts'
import type { Listener } from './wire.ts'

/** The place that holds the bucket: a server that can die, come back, and go back in time. */
export interface Server {
  /** Throws `Unavailable` while it is down. */
  store(): BlobStore
  /** Where connections go; null while it is down. */
  listener(): Listener | null
  /** Something happens at its `at`th write from now; nothing while it is down. */
  arm(at: number, trap: Trap): void
  /** No faults come any more. */
  calm(): void
  /** Bytes that still fit on its disk. */
  setRoom(bytes: number): void
  /** Starts it from what was durable. It may stay down while its disk is full; throws what nothing explains. */
  start(): Promise<void>
  /** Keeps a copy of what is there now. */
  backup(): void
  /** Its disk is empty: a bucket of the same name is made anew. */
  recreate(): Promise<void>
  /** Brings the kept copy back; false if there is none. */
  restore(): Promise<boolean>
}

export interface ServerOptions {
  /** Whether it is asked over connections. */
  readonly wire?: boolean
  readonly backend?: 'memory' | 'local'
  readonly ids: Ids
  readonly chance: Chance
  readonly scheduler: Scheduler
  readonly coverage: Coverage
}

export async function openServer(options: ServerOptions): Promise<Server> {
  const { ids, chance, scheduler, coverage } = options
  const place: Place = options.backend === 'local' ? localPlace(() => stamp(scheduler, 0)) : memoryPlace()
  let life: Life | null = null
  let current: BlobStore | null = null
  let listener: Listener | null = null
  let copy: (() => Promise<void>) | null = null

  /** What a death left is on the disk. */
  const cut = (): void => {
    if (life === null || life.alive()) return
    if (place.cut(life.lostPower(), chance) > 0) coverage.count('power: unsynced writes of the server vanished')
    life = current = listener = null
  }
  const begin = async (own: Life): Promise<BlobStore> => {
    const buckets = openBuckets({ ...(await place.open(own)), clock: own.clock, ids })
    await buckets.create('team').catch((error: unknown) => {
      if (!isBlobsError(error, 'AlreadyExists')) throw error
    })
    if (options.wire === true) {
      const { now } = own.clock
      const [secrets, newId] = [{ current: 'a secret', previous: null }, ids.next]
      const desk = openDesk({ records: null, secrets: async () => secrets, source: null, now, newId })
      const access = { gate: OPEN_GATE, desk, own: null, close: async () => undefined }
      const waits = { bounds: defaultBounds, clock: own.clock }
      const { http } = await openApp({ buckets, secrets, now, newId }, access, waits)
      listener = { life: own, accept: (end) => void http.emit('connection', end) }
    }
    return buckets.open('team')
  }
  const start = async (): Promise<void> => {
    cut()
    if (current !== null) return
    const own = openLife({ chance, scheduler, coverage, skew: () => 0, whose: 'server: ' })
    life = own
    try {
      current = mortal(await begin(own), own)
    } catch (error) {
      own.kill()
      cut()
      if (!isFull(error)) throw error
      coverage.count('server: no start with a full disk')
    }
  }
  const stop = (): void => {
    life?.kill()
    cut()
  }
  const empty = place.copy()
  await start()
  return {
    store: () => {
      if (current === null || life?.alive() !== true) throw down()
      return current
    },
    listener: () => (life?.alive() === true ? listener : null),
    arm: (at, trap) => life?.arm(at, 'writes', trap),
    calm: () => {
      life?.disarm()
      place.setRoom(Number.POSITIVE_INFINITY)
    },
    setRoom: place.setRoom,
    start,
    backup: () => {
      cut()
      copy = place.copy()
    },
    recreate: async () => {
      stop()
      await empty()
      await start()
    },
    restore: async () => {
      if (copy === null) return false
      stop()
      await copy()
      await start()
      return true
    },
  }
}

// What is loaded by a server that starts is loaded before time begins.
await import('fastify')

const GRANT: Grant = {
  id: 'token',
  name: '',
  bucket: 'team',
  prefixes: null,
  can: ['read', 'write', 'delete'],
  expires: null,
  issued: null,
  key: '',
}
/** Lets in whoever comes: signatures are checked on other threads, whose time is not simulated. */
const OPEN_GATE: Gate = {
  admit: async () => GRANT,
  lease: () => ({ signal: new AbortController().signal, release: () => undefined }),
  close: async () => undefined,
}

function isFull(error: unknown): boolean {
  return isBlobsError(error, 'QuotaExceeded') || (error as NodeJS.ErrnoException).code === 'ENOSPC'
}

function down(): BlobsError {
  return new BlobsError('Unavailable', 'the server is down (injected)')
}

/** A store whose callers learn that its process is dead, and nothing else from then on. */
function mortal(store: BlobStore, life: Life): BlobStore {
  const gone = life.death.then((): never => {
    throw down()
  })
  gone.catch(() => undefined)
  const call = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await Promise.race([act(), gone])
    } catch (error) {
      throw life.alive() ? error : down()
    }
  }
  const stream = async function* <T>(items: AsyncIterable<T>): AsyncGenerator<T, void> {
    const iterator = items[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await call(() => iterator.next())
        if (next.done === true) return
        yield next.value
      }
    } finally {
      if (life.alive()) await iterator.return?.()
    }
  }
  return {
    info: () => call(() => store.info()),
    head: (key, settings) => call(() => store.head(key, settings)),
    get: async (key, settings) => {
      const blob = await call(() => store.get(key, settings))
      return blob && { ...blob, stream: stream(blob.stream) }
    },
    commit: (entries, settings) => call(() => store.commit(entries, settings)),
    list: (settings) => call(() => store.list(settings)),
    changes: (settings) => stream(store.changes(settings)),
    missing: (hashes) => call(() => store.missing(hashes)),
    stage: (chunks) => call(() => store.stage(chunks)),
    fetch: (wants) => stream(store.fetch(wants)),
    chunksOf: async (key, version) => {
      const pages = await call(() => store.chunksOf(key, version))
      return pages && stream(pages)
    },
    close: async () => undefined,
  }
}
