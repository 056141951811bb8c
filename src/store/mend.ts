import { sha256 } from '../content/hash.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { isBlobsError } from './contract/errors.ts'
import { checkHeldName } from './contract/keys.ts'
import { encodeEntry, keyOf, type Entry, type EntryChange } from './entry.ts'
import { decodeBatch } from './follow.ts'
import type { BucketPorts, Placed, Position } from './ports.ts'
import type { PlacedEntry } from './view/apply.ts'
import type { View } from './view/view.ts'

/** Another place that may know entries of the same log. */
export interface EntrySource {
  /** For messages. */
  readonly name: string
  /** Id of the entry that it has at a position; null if none. */
  idAt(position: Position): Promise<string | null>
  /** Null if it has none. */
  entryAt(position: Position): Promise<Entry | null>
}

export interface MendOptions {
  readonly name: string
  readonly ports: BucketPorts
  /** Positions at which the log has no entry but had one. */
  readonly gaps: readonly Position[]
  /** Puts entries into the log at their positions, also in the place of others. */
  readonly putEntries: (entries: readonly Placed[]) => void
  readonly sources: readonly EntrySource[]
  readonly maxEntryBytes: number
  readonly clock: Clock
  readonly ids: Ids
}
export interface MendedLog {
  /** Entries that came back from a source. */
  readonly recalled: readonly { readonly position: Position; readonly source: string }[]
  /** Entries in whose place there now is one that does nothing. */
  readonly lost: readonly Position[]
}

/**
 * Makes a log whole again: entries that are missing, or cannot be read, come back from a source that agrees with what is left of the
 * log, or give way to entries that do nothing.
 */
export async function mendLog(options: MendOptions): Promise<MendedLog> {
  const { name, ports, putEntries, ids, clock } = options
  const wanted = new Set(options.gaps)
  for (const position of await unreadable(ports)) wanted.add(position)
  const recalled: { position: Position; source: string }[] = []
  for (const source of options.sources) {
    if (wanted.size === 0 || !(await agrees(ports, source, wanted))) continue
    for (const position of wanted) {
      const entry = await source.entryAt(position)
      if (entry === null) continue
      putEntries([await placed(options, position, entry)])
      wanted.delete(position)
      recalled.push({ position, source: source.name })
    }
  }
  const time = clock.now()
  for (const position of wanted) {
    const first = { name, created: new Date(time).toISOString(), options: {} }
    const empty: Entry = {
      v: 1,
      id: ids.next(),
      time,
      author: '',
      device: '',
      operation: REPAIR,
      changes: [],
      based: position - 1,
    }
    putEntries([await placed(options, position, position === 1 ? { ...empty, bucket: first } : empty)])
  }
  return { recalled, lost: [...wanted].sort((a, b) => a - b) }
}

/** `operation` of the entries that stand for lost ones. */
const REPAIR = 'repair'

async function unreadable(ports: BucketPorts): Promise<readonly Position[]> {
  const found: Position[] = []
  for await (const batch of ports.log.read({ after: 0 })) {
    if (await isReadable(batch, ports)) continue
    for (const raw of batch) if (!(await isReadable([raw], ports))) found.push(raw.position)
  }
  return found
}

async function isReadable(batch: readonly Placed[], ports: BucketPorts): Promise<boolean> {
  try {
    await decodeBatch(batch, ports)
    return true
  } catch (error) {
    if (isBlobsError(error, 'Corrupt')) return false
    throw error
  }
}

/** True if the source has the same entries wherever the log, around what is wanted, has any. */
async function agrees(ports: BucketPorts, source: EntrySource, wanted: ReadonlySet<Position>): Promise<boolean> {
  for await (const batch of ports.log.read({ after: 0 })) {
    for (const { position, id } of batch) {
      const isNear = position === 1 || wanted.has(position - 1) || wanted.has(position + 1)
      if (isNear && !wanted.has(position) && (await source.idAt(position)) !== id) return false
    }
  }
  return true
}

async function placed({ ports, maxEntryBytes }: MendOptions, position: Position, entry: Entry): Promise<Placed> {
  const { id } = entry
  const data = encodeEntry(entry)
  if (data.length <= maxEntryBytes) return { position, id, data }
  const hash = sha256(data)
  await ports.content.put([{ hash, bytes: data }])
  return { position, id, data: encodeEntry({ v: 1, id, content: hash, size: data.length }) }
}

/**
 * Reads a mended log into a view. Where entries were lost, a later one may expect a version that is not made any more; it would be void,
 * and what it brought be hidden: it is changed to expect nothing. Gives the keys of such changes.
 */
export async function readMended(
  options: MendOptions,
  lost: readonly Position[],
  view: View,
): Promise<ReadonlySet<string>> {
  const { ports, putEntries } = options
  const from = lost[0] ?? Number.POSITIVE_INFINITY
  const keys = new Set<string>()
  for await (const batch of ports.log.read({ after: 0 })) {
    const entries = await decodeBatch(batch, ports)
    if ((batch.at(-1)?.position ?? 0) < from) {
      await view.apply(entries)
      continue
    }
    for (const { position, entry } of entries) {
      const changes = position > from ? entry.changes.map((change) => soften(change, view, keys)) : entry.changes
      const softened: PlacedEntry = { position, entry: { ...entry, changes } }
      if (changes.some((change, index) => change !== entry.changes[index]))
        putEntries([await placed(options, position, softened.entry)])
      await view.apply([softened])
    }
  }
  return keys
}

function soften(change: EntryChange, view: View, keys: Set<string>): EntryChange {
  const { expect } = change
  const key = keyOf(change)
  if (typeof expect !== 'object' || expect.version <= (view.standings([key]).get(key)?.version ?? 0)) return change
  keys.add(key)
  return { ...change, expect: 'any' }
}

/** The log of another bucket as a source. */
export function logSource(ports: BucketPorts, name: string): EntrySource {
  const rawAt = async (position: Position): Promise<Placed | null> => {
    for await (const [first] of ports.log.read({ after: position - 1 }))
      return first?.position === position ? first : null
    return null
  }
  return {
    name,
    idAt: async (position) => (await rawAt(position))?.id ?? null,
    entryAt: async (position) => {
      const raw = await rawAt(position)
      return raw === null ? null : ((await decodeBatch([raw], ports))[0]?.entry ?? null)
    },
  }
}

/** The name in the first entry of a log; null if there is none. */
export function bucketNameIn(data: Uint8Array): string | null {
  try {
    const { bucket } = JSON.parse(Buffer.from(data).toString('utf8')) as {
      readonly bucket?: { readonly name?: unknown }
    }
    return typeof bucket?.name === 'string' ? checkHeldName(bucket.name) : null
  } catch {
    return null
  }
}
