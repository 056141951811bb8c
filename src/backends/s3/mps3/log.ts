import { randomUUID } from 'node:crypto'
import type { Clock } from '../../../platform/ports.ts'
import { BlobsError } from '../../../store/contract/errors.ts'
import type { S3Client } from '../client.ts'
import { entryKey, listedFrom, parseEntryKey, SESSION_WRITES, type EntryName } from './names.ts'
import { formatEntry, parseEntry, replay, type Files, type ManifestEntry, type Update } from './state.ts'

/** Milliseconds that an entry's time may differ from when the service took it: every reader passes over those that differ more. */
const LAG = 5000
/** Milliseconds behind the newest entry from which on entries are replayed: the newest may not have seen them. */
const WINDOW = 5000
/** Milliseconds that a clock may be ahead of ours, and its entries still be listed. */
const AHEAD = 10_000
/** Milliseconds behind the newest entry after which nobody needs one. */
const OLD = 60_000
/** Entries that are kept in memory, so that each is read once. */
const REMEMBERED = 1000
const ATTEMPTS = 4
/** Milliseconds of a difference between two clocks that may be none: the service tells whole seconds. */
const GRAIN = 2000
/** Writes after which what nobody needs is taken away. */
const CLEAN_EVERY = 16

/** An entry that counts. */
export interface Placed extends EntryName {
  readonly entry: ManifestEntry
}
/** What a manifest says now. */
export interface Latest {
  readonly files: Files
  /** Those that are replayed, the oldest first. */
  readonly entries: readonly Placed[]
}

/** The log of a manifest: the S3 objects `MANIFEST@…`, each one write of a client. */
export interface ManifestLog {
  latest(): Promise<Latest>
  /** Writes one entry on what stands there now, all of it or nothing; `decide` says what. Gives the entry; null if there was nothing to do. */
  write(decide: (files: Files) => Update): Promise<Placed | null>
}

interface ManifestLogOptions {
  readonly client: S3Client
  /** Its key. */
  readonly manifest: string
  readonly clock: Clock
}

export function openManifestLog({ client, manifest, clock }: ManifestLogOptions): ManifestLog {
  const known = new Map<string, ManifestEntry | null>()
  const nextName = openNames(manifest)
  const serverNow = (): number => {
    const ahead = client.ahead() ?? 0
    return clock.now() + (Math.abs(ahead) < GRAIN ? 0 : ahead)
  }
  const readEntry = async ({ key }: EntryName): Promise<ManifestEntry | null> => {
    const before = known.get(key)
    if (before !== undefined) return before
    const object = await client.get(key)
    // Another client cleared it away: then a newer one has all of it.
    if (object === null) return null
    const entry = parseEntry(key, object.bytes)
    known.set(key, entry)
    const [oldest] = known.keys()
    if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest)
    return entry
  }
  let checked = false
  const latest = async (): Promise<Latest> => {
    if (!checked) await checkFormat(client, manifest)
    checked = true
    const names = await listEntries(client, manifest, serverNow() + AHEAD)
    const read = await Promise.all(names.map(async (name) => ({ ...name, entry: await readEntry(name) })))
    const entries = read.flatMap(({ entry, ...name }) => (entry === null ? [] : [{ ...name, entry }]))
    // The newest was taken away between two looks: what it had seen cannot be known before another one.
    if (read.length > 0 && read.at(-1)?.entry === null) return latest()
    return { files: replay(entries.map(({ entry }) => entry)), entries }
  }
  const write: ManifestLog['write'] = async (decide) => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const { files, entries } = await latest()
      const update = decide(files)
      if (update.size === 0) return null
      const time = Math.max(serverNow(), (entries.at(-1)?.time ?? 0) + 1)
      const key = nextName(time)
      const entry = { files, update }
      const { date } = await client.put(key, Buffer.from(formatEntry(entry)), { type: 'application/json' })
      if (Number.isNaN(date) || Math.abs(time - date) < LAG - 1000) {
        known.set(key, entry)
        return { key, time, entry }
      }
      // Nobody would count it. The answer has told the service's time.
      await client.remove(key)
    }
    throw new BlobsError(
      'Unavailable',
      `the clocks of ${client.settings.endpoint} and of those who write there differ by seconds`,
      {
        hint: 'set the one that is wrong, as with timedatectl set-ntp true',
      },
    )
  }
  let writes = 0
  return {
    latest,
    write: async (decide) => {
      const written = await write(decide)
      if (written === null) return null
      // Clients that look at this first learn that there is something new.
      await client.put(manifest, Buffer.from('""'), { type: 'application/json' })
      if (++writes % CLEAN_EVERY === 0) await clean(client, manifest, written.time - OLD)
      return written
    },
  }
}

/** Names of entries of this process: none is given twice, however many there are. */
export function openNames(manifest: string): (time: number) => string {
  let session = ''
  let count = SESSION_WRITES
  return (time) => {
    if (count >= SESSION_WRITES) {
      session = randomUUID().replaceAll('-', '').slice(0, 3)
      count = 0
    }
    return entryKey(manifest, time, session, count++)
  }
}

/** The entries that are to be replayed, the oldest first. */
async function listEntries(client: S3Client, manifest: string, until: number): Promise<readonly EntryName[]> {
  const found: EntryName[] = []
  for await (const objects of client.list({ prefix: `${manifest}@`, startAfter: listedFrom(manifest, until) })) {
    for (const { key, modified } of objects) {
      const name = parseEntryKey(manifest, key)
      if (name === null || Math.abs(name.time - modified) >= LAG) continue
      if (name.time < (found[0]?.time ?? 0) - WINDOW) return found.reverse()
      found.push(name)
    }
  }
  return found.reverse()
}

/** Takes away entries that were written before a time: the newest one tells all that they do. */
async function clean(client: S3Client, manifest: string, before: number): Promise<void> {
  const { objects } = await client.page({ prefix: `${manifest}@`, startAfter: listedFrom(manifest, before) })
  const old = objects.map(({ key }) => key).filter((key) => parseEntryKey(manifest, key) !== null)
  if (old.length > 0) await client.removeAll(old)
}

/** Throws `NotSupported` for a log of MPS3 before 0.0.58: its names begin with the digits of a time, which sort before all of ours. */
async function checkFormat(client: S3Client, manifest: string): Promise<void> {
  const { objects } = await client.page({ prefix: `${manifest}@0`, limit: 1 })
  const [old] = objects
  if (old === undefined) return
  throw new BlobsError(
    'NotSupported',
    `${manifest} was written by an old MPS3, whose format is another one (${old.key})`,
    {
      hint: 'bring it to the current format with an app on MPS3 0.0.58 or later, on a copy',
    },
  )
}
