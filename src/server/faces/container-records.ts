import { type Kept, readRecord, readRecords, writeRecords, writeTogether } from '../../access/system.ts'
import type { BlobStore, Buckets } from '../../store/contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { digest, ROOM } from './container-users.ts'

/** A user's container, and the bucket that it is. */
export interface Container {
  readonly id: number
  readonly name: string
  readonly user: number
  readonly bucket: string
  readonly status: 'active' | 'deleted'
}

/** What containers there are, in the reserved bucket. */
export interface Containers {
  /** Null when this user has or had one of the name, or it cannot be a name. */
  create(user: number, name: string): Promise<Container | null>
  /** Those that were not deleted, by their ids. */
  list(user: number): Promise<readonly Container[]>
  /** Null for one that is not there, was deleted, or is another user's. */
  find(user: number, name: string): Promise<Container | null>
  /** Its name cannot be used again. */
  remove(container: Container): Promise<void>
}

const FORMAT = 1
const ATTEMPTS = 8
/** Characters of a name. */
const MAX_NAME = 50

/**
 * The bucket of a user's container: `u7.photos` for the user 7, and `u7.LEGIBLE-HASH` for a name that could be no bucket's or that looks
 * like such a one. The number ends at the first dot, so that no name of one user gives a bucket of another.
 */
export function bucketOf(user: number, name: string): string {
  if (/^[a-z0-9._-]{1,40}$/.test(name) && !/-[0-9a-f]{16}$/.test(name)) return `u${user}.${name}`
  const legible = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replace(/^-/, '')
    .slice(0, 24)
  return `u${user}.${legible}-${digest(name).slice(0, 16)}`
}

export function openContainers(
  store: BlobStore,
  buckets: Pick<Buckets, 'create' | 'remove'>,
  newId: () => string,
): Containers {
  const keyOf = (user: number, name: string): string => `${ROOM}of/${user}/${digest(name)}`
  const record = async (made: Omit<Container, 'id'>): Promise<Container | null> => {
    const counter = `${ROOM}last-container`
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const last = await readRecord(store, counter)
      const container = { id: (last?.version ?? 0) + 1, ...made }
      const key = keyOf(made.user, made.name)
      const records = [
        { key: counter, value: {}, expect: last === null ? ('absent' as const) : { version: last.version } },
        { key, value: { v: FORMAT, ...container }, expect: 'absent' as const },
      ]
      if (await writeTogether(store, records, newId)) return container
      if ((await readRecord(store, key)) !== null) return null
    }
    throw new BlobsError('Unavailable', 'too many containers are made at once', { retryAfter: 1000 })
  }
  return {
    create: async (user, name) => {
      if (name === '' || [...name].length > MAX_NAME || !name.isWellFormed()) return null
      if ((await readRecord(store, keyOf(user, name))) !== null) return null
      const bucket = bucketOf(user, name)
      try {
        await buckets.create(bucket)
      } catch (error) {
        // Made by somebody else, for something else: it does not become this user's.
        if (isBlobsError(error, 'AlreadyExists')) return null
        throw error
      }
      return record({ name, user, bucket, status: 'active' })
    },
    list: async (user) => {
      const all: Container[] = []
      for await (const kept of readRecords(store, `${ROOM}of/${user}/`)) {
        const container = decode(kept)
        if (container?.status === 'active') all.push(container)
      }
      return all.toSorted((a, b) => a.id - b.id)
    },
    find: async (user, name) => {
      const kept = name.isWellFormed() ? await readRecord(store, keyOf(user, name)) : null
      const container = kept === null ? null : decode(kept)
      return container?.user === user && container.status === 'active' ? container : null
    },
    remove: async (container) => {
      const value = { v: FORMAT, ...container, status: 'deleted' }
      await writeRecords(store, [{ key: keyOf(container.user, container.name), value, expect: 'any' }], newId)
    },
  }
}

function decode({ value }: Kept): Container | null {
  const { v, id, name, user, bucket, status } = value as Readonly<Record<string, unknown>>
  const known = v === FORMAT && typeof id === 'number' && typeof user === 'number' && status !== undefined
  if (!known || typeof name !== 'string' || typeof bucket !== 'string') return null
  return { id, name, user, bucket, status: status === 'active' ? 'active' : 'deleted' }
}
