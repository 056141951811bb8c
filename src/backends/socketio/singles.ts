import { sha256, type Hash } from '../../content/hash.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo, Chunk, EntryInput, Expectation, Outcome, PutChange } from '../../store/contract/types.ts'
import { MOST_BYTES, type Refs, type Value } from './refs.ts'

const KEY = /^ref:([0-9a-f]{64})$/
/** How often a version is set over another that came meanwhile. */
const TRIES = 8

/**
 * The values that apps keep at references of the server, each under the key `ref:` and its 64 hex digits: they can be read, and the next
 * version set. All else is `NotSupported`: the server can do nothing else with them. What is staged is held in memory until it is set.
 */
export function openSingles(refs: Refs, bucket: string, close: () => void): BlobStore {
  const staged = new Map<Hash, Uint8Array>()
  const infoOf = (key: string, { version, bytes }: Value): BlobInfo => ({
    bucket,
    key,
    version,
    size: bytes?.length ?? 0,
    hash: sha256(bytes ?? new Uint8Array(0)),
    contentType: 'application/octet-stream',
    // The server tells nobody when it was written.
    modified: '',
    deleted: false,
    meta: {},
    position: '',
    entry: '',
    author: '',
    device: '',
  })
  const read = async (key: string, version?: number): Promise<{ value: Value; info: BlobInfo } | null> => {
    const value = await refs.readKnown(refOf(key))
    if (value === null || (version !== undefined && version !== value.version)) return null
    return { value, info: infoOf(key, value) }
  }
  const commit = async (entry: EntryInput): Promise<Outcome> => {
    const { id } = entry
    const change = putOf(entry)
    const { key } = change
    const bytes = bytesOf(change, staged)
    const result = await set(refs, change, bytes)
    staged.clear()
    if (typeof result === 'number') {
      return { id, ok: true, cursor: '', blobs: [infoOf(key, { version: result, bytes })] }
    }
    const current = result.current === null ? null : infoOf(key, result.current)
    return { id, ok: false, conflicts: [{ key, expected: change.expect, current }] }
  }
  return {
    info: async () => refuse('told as a whole'),
    head: async (key, { version } = {}) => (await read(key, version))?.info ?? null,
    get: async (key, { version, range } = {}) => {
      const found = await read(key, version)
      if (found === null) return null
      const [first, last] = within(range, found.info.size)
      const bytes = (found.value.bytes ?? new Uint8Array(0)).slice(first, last + 1)
      return { info: found.info, range: [first, last], stream: one(bytes) }
    },
    commit: async (entries) => {
      const outcomes: Outcome[] = []
      for (const entry of entries) outcomes.push(await commit(entry))
      return outcomes
    },
    // Below a reference there is nothing.
    list: async ({ prefix = '' } = {}) =>
      KEY.test(prefix.slice(0, -1)) ? { items: [], prefixes: [], complete: true, cursor: '' } : refuse('listed'),
    // eslint-disable-next-line require-yield
    changes: async function* () {
      refuse('followed')
    },
    missing: async (hashes) => hashes.filter((hash) => !staged.has(hash)),
    stage: async (chunks) => stage(staged, chunks),
    fetch: async function* (wants) {
      for (const { key, version } of wants) {
        const found = await read(key, version)
        if (found !== null) yield { key, version, bytes: found.value.bytes ?? new Uint8Array(0) }
      }
    },
    chunksOf: async () => null,
    close: async () => close(),
  }
}

/** The version that was made, or what stands there instead of what was expected. */
async function set(
  refs: Refs,
  { key, expect }: PutChange,
  bytes: Uint8Array,
): Promise<number | { readonly current: Value | null }> {
  const ref = refOf(key)
  for (let tries = 1; ; tries++) {
    const current = await refs.readKnown(ref)
    // The server takes any version for what is not there.
    if (!holds(expect, current)) return { current }
    const made = current === null ? await create(refs, ref, bytes) : await replace(refs, ref, bytes, current.version)
    if (typeof made === 'number') return made
    if (expect !== 'any' || tries === TRIES) return { current: made }
  }
}

function holds(expect: Expectation, current: Value | null): boolean {
  if (expect === 'any') return true
  if (expect === 'absent') return current === null
  if (current?.version !== expect.version) return false
  return expect.hash === undefined || expect.hash === sha256(current.bytes ?? new Uint8Array(0))
}

async function create(refs: Refs, ref: string, bytes: Uint8Array): Promise<number | Value> {
  const there = await refs.create(ref, bytes)
  return there === null || isOurs(there, 1, bytes) ? 1 : there
}

async function replace(refs: Refs, ref: string, bytes: Uint8Array, version: number): Promise<number | Value | null> {
  try {
    const answer = await refs.replace(ref, bytes, version)
    if (!answer.made) return answer.current
    if (answer.version === version + 1) return answer.version
    throw new BlobsError(
      'Corrupt',
      `the server lost version ${version} of ref:${ref} just now: what was set is version ${answer.version}`,
      {
        hint: 'bring its files back from a backup',
      },
    )
  } catch (error) {
    if (!isBlobsError(error, 'Unavailable')) throw error
    // It may have been done before the connection ended.
    const there = await refs.readKnown(ref)
    if (there?.version === version) throw error
    return there !== null && isOurs(there, version + 1, bytes) ? there.version : there
  }
}

function isOurs(there: Value, version: number, bytes: Uint8Array): boolean {
  return there.version === version && there.bytes !== null && Buffer.from(bytes).equals(there.bytes)
}

/** Throws `InvalidKey`. */
function refOf(key: string): string {
  const ref = KEY.exec(key)?.[1]
  if (ref !== undefined) return ref
  throw new BlobsError('InvalidKey', `${JSON.stringify(key)} is no reference of a Socket.IO server`, {
    key,
    hint: 'one is written ref: and 64 hex digits in small letters',
  })
}

function putOf({ changes }: EntryInput): PutChange {
  const [change] = changes
  if (changes.length === 1 && change?.type === 'put') return change
  return refuse(change?.type === 'delete' ? 'removed' : 'changed together')
}

function bytesOf({ key, body, size }: PutChange, staged: ReadonlyMap<Hash, Uint8Array>): Uint8Array {
  if (!('refs' in body)) return refuse('copied where they are: get it, and put it')
  if (size === 0) {
    throw new BlobsError('InvalidRequest', `${key} cannot be empty: the server takes no value without bytes`, { key })
  }
  const parts = size > MOST_BYTES || body.depth > 0 ? [] : body.refs.map(({ hash }) => staged.get(hash))
  if (parts.length === 0) throw tooLarge()
  if (parts.every((part) => part !== undefined)) return Buffer.concat(parts)
  throw new BlobsError('InvalidRequest', `bytes of ${key} were not staged`, { key })
}

function stage(staged: Map<Hash, Uint8Array>, chunks: readonly Chunk[]): void {
  for (const { hash, bytes } of chunks) staged.set(hash, Uint8Array.from(bytes))
  let total = 0
  for (const bytes of staged.values()) total += bytes.length
  if (total <= MOST_BYTES) return
  staged.clear()
  throw tooLarge()
}

function tooLarge(): BlobsError {
  return new BlobsError('TooLarge', `a reference of a Socket.IO server holds at most ${MOST_BYTES} bytes`, {
    hint: 'put it into the bucket under a name: larger blobs are cut into parts there',
  })
}

function refuse(what: string): never {
  throw new BlobsError(
    'NotSupported',
    `values at references (ref:…) cannot be ${what}: the server knows only to get and to set one`,
    {
      hint: 'blobs get, blobs put and blobs stat work on them',
    },
  )
}

/** Throws `InvalidRequest` for a range that holds no byte. */
function within(range: readonly [number, number] | undefined, size: number): readonly [number, number] {
  if (range === undefined) return [0, size - 1]
  const first = range[0] < 0 ? Math.max(0, size + range[0]) : range[0]
  const last = range[0] < 0 ? size - 1 : Math.min(range[1], size - 1)
  if (size > 0 && first > last)
    throw new BlobsError('InvalidRequest', `there is no byte in that range: it has ${size} bytes`)
  return [first, last]
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
