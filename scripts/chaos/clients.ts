import { setTimeout as sleep } from 'node:timers/promises'
import { sha256 } from '../../src/content/hash.ts'
import { chanceBy } from '../../src/platform/chance.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { STALE } from '../../src/protocol/sight-headers.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { BlobInfo, PutChange } from '../../src/store/contract/types.ts'
import { stageStream } from '../../src/store/contract/upload.ts'
import { openSightings } from '../../src/store/http/sightings.ts'
import { httpStore } from '../../src/store/http/store.ts'
import { openTransport, type Transport } from '../../src/store/http/transport.ts'
import { retrying } from '../../src/store/retry.ts'
import type { Operation, Unknown } from './history.ts'

/** Milliseconds between two operations of a client. */
const PAUSE = 60
const KEYS = ['a', 'b', 'c', 'd', 'e']

/** Clients that read and write some keys all the time, and note what they were told. */
export interface Clients {
  readonly operations: readonly Operation[]
  readonly unknown: readonly Unknown[]
  /** Hash of the bytes that each write was to put, by the id of its entry. */
  readonly hashes: ReadonlyMap<string, string>
  /** Why operations failed. */
  readonly failures: ReadonlyMap<string, number>
  /** Resolves when every client has written something after now; false if that takes too long. */
  allWrite(milliseconds: number): Promise<boolean>
  /** The longest time for which a client waited for a write of its own, of those that end from `since` on, in milliseconds. */
  longestWait(since: number): number
  stop(): Promise<void>
}

interface ClientOptions {
  readonly name: string
  readonly url: string
  readonly token: string
  readonly bucket: string
}

export async function startClients(all: readonly ClientOptions[]): Promise<Clients> {
  const notes = openNotes()
  const stopping = new AbortController()
  const clients = await Promise.all(all.map((options) => openClient(options, notes)))
  const running = clients.map((run) => run(stopping.signal))
  return {
    ...notes,
    allWrite: async (milliseconds) => {
      const now = performance.now()
      const wrote = (name: string): boolean => (notes.writes.get(name)?.at(-1)?.began ?? 0) > now
      while (!all.every(({ name }) => wrote(name))) {
        if (performance.now() - now > milliseconds) return false
        await sleep(50)
      }
      return true
    },
    longestWait: (since) => Math.max(0, ...all.map(({ name }) => longestGap(notes.writes.get(name) ?? [], since))),
    stop: async () => {
      stopping.abort()
      await Promise.all(running)
    },
  }
}

/** Between the end of one write and that of the next. */
function longestGap(writes: readonly Pick<Operation, 'ended'>[], since: number): number {
  let longest = 0
  for (const [index, { ended }] of writes.entries()) {
    const before = writes[index - 1]?.ended
    if (before !== undefined && ended >= since) longest = Math.max(longest, ended - before)
  }
  return longest
}

interface Notes {
  readonly operations: Operation[]
  readonly unknown: Unknown[]
  readonly hashes: Map<string, string>
  readonly failures: Map<string, number>
  /** Those that happened, by client. */
  readonly writes: Map<string, Operation[]>
}

function openNotes(): Notes {
  return { operations: [], unknown: [], hashes: new Map(), failures: new Map(), writes: new Map() }
}

/** Gives what runs until the signal aborts. */
async function openClient(
  { name, url, token, bucket }: ClientOptions,
  notes: Notes,
): Promise<(signal: AbortSignal) => Promise<void>> {
  let stale = false
  const transport = await openTransport({ origin: url, token })
  const noticing: Transport = {
    ...transport,
    send: async (outgoing) => {
      const answer = await transport.send(outgoing)
      stale = answer.headers[STALE] !== undefined
      return answer
    },
  }
  const sightings = openSightings()
  const plain = httpStore(sightings.over(noticing, bucket), bucket, (cursor) => sightings.saw(bucket, cursor))
  const store = retrying(plain, { clock, chance: () => chanceBy(ids) })
  const known = new Map<string, BlobInfo | null>()
  let count = 0
  const note = (operation: Operation): void => {
    notes.operations.push(operation)
    if (operation.kind === 'write') notes.writes.set(name, [...(notes.writes.get(name) ?? []), operation])
  }
  const read = async (key: string): Promise<void> => {
    const began = performance.now()
    const info = await store.head(key)
    const ended = performance.now()
    known.set(key, info)
    note({
      client: name,
      key,
      kind: 'read',
      version: info?.version ?? 0,
      entry: info?.entry ?? '',
      began,
      ended,
      stale,
    })
  }
  const write = async (key: string): Promise<void> => {
    const entry = ids.next()
    const change = await changeOf(store, key, `${name} ${(count += 1)}`, known.get(key) ?? null)
    notes.hashes.set(entry, change.hash)
    const began = performance.now()
    try {
      const [outcome] = await store.commit([{ id: entry, changes: [change] }])
      const ended = performance.now()
      const told = outcome?.ok ? outcome.blobs[0] : outcome?.conflicts[0]?.current
      known.set(key, told ?? null)
      const seen = { version: told?.version ?? 0, entry: told?.entry ?? '' }
      note({ client: name, key, kind: outcome?.ok ? 'write' : 'read', ...seen, began, ended, stale: false })
    } catch (error) {
      notes.unknown.push({ key, entry, began })
      throw error
    }
  }
  return async (signal) => {
    while (!signal.aborted) {
      const key = KEYS[Math.floor(chanceBy(ids) * KEYS.length)] ?? 'a'
      try {
        await (chanceBy(ids) < 0.4 ? read(key) : write(key))
      } catch (error) {
        if (!isBlobsError(error)) throw error
        const why = `${error.code}: ${error.message}`
        notes.failures.set(why, (notes.failures.get(why) ?? 0) + 1)
      }
      await sleep(PAUSE * (0.5 + chanceBy(ids)))
    }
    await store.close()
    transport.close()
  }
}

/** Most writes replace what was seen last; some whatever is there. */
async function changeOf(store: BlobStore, key: string, text: string, before: BlobInfo | null): Promise<PutChange> {
  const bytes = Buffer.from(text)
  const staged = await stageStream(store, once(bytes))
  if (staged.hash !== sha256(bytes)) throw new Error('it was staged as something else')
  const expect = chanceBy(ids) < 0.2 ? 'any' : before === null ? 'absent' : ({ version: before.version } as const)
  return { type: 'put', key, expect, contentType: 'text/plain', meta: {}, ...staged }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
