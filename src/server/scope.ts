import { setImmediate } from 'node:timers/promises'
import { type Grant, mayDelete, mayIn, mayRead, mayReadAll, mayWrite } from '../access/grant.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'
import { type Brought, notBrought } from '../store/contract/confine.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { checkKey } from '../store/contract/keys.ts'
import type { Chunk, EntryInput, FeedItem, Outcome } from '../store/contract/types.ts'
import { listWithin } from './scope-list.ts'

interface Scope {
  readonly grant: Grant
  readonly bucket: string
  /** What this token staged lately. */
  readonly brought: Brought
  /** Told of what it stages now. */
  readonly onStaged: (chunks: readonly Chunk[]) => void
}

/**
 * The store as a grant may see it: every method is confined to its keys and capabilities, and throws `Forbidden` for others.
 * Chunks are named, probed and fetched only through blobs it may read, or when it staged them itself. Closing it closes nothing.
 */
export function scopeStore(store: BlobStore, scope: Scope): BlobStore {
  const { grant, bucket } = scope
  const readable = (key: string): string => allow(scope, mayRead(grant, bucket, checkKey(key)), 'read', key)
  return {
    info: async () => {
      const info = await store.info()
      // How much others hold is not its business.
      return grant.prefixes === null ? info : { ...info, blobs: 0, bytes: 0 }
    },
    head: async (key, options) => store.head(readable(key), options),
    get: async (key, options) => store.get(readable(key), options),
    commit: async (entries, options) => {
      for (const entry of entries) await checkEntry(scope, entry)
      return ownOutcomes(grant, entries, await store.commit(entries, options), bucket)
    },
    list: async (options = {}) => {
      allow(scope, mayIn(grant, 'read', bucket), 'list')
      return grant.prefixes === null ? store.list(options) : listWithin(store, grant.prefixes, options)
    },
    changes: (options) => {
      allow(scope, mayIn(grant, 'read', bucket), 'read the changes of')
      return grant.prefixes === null ? store.changes(options) : readableChanges(store.changes(options), grant, bucket)
    },
    missing: async (hashes) => {
      allow(scope, mayIn(grant, 'write', bucket), 'write to')
      return mayReadAll(grant, bucket) ? store.missing(hashes) : hashes.filter((hash) => !scope.brought.has(hash))
    },
    stage: async (chunks, options) => {
      allow(scope, mayIn(grant, 'write', bucket), 'write to')
      // Passages name chunks: those of others are not its business.
      await store.stage(chunks, mayReadAll(grant, bucket) ? options : {})
      if (!mayReadAll(grant, bucket)) scope.onStaged(chunks)
    },
    fetch: (wants) => {
      for (const { key } of wants) readable(key)
      return store.fetch(wants)
    },
    chunksOf: async (key, version) => store.chunksOf(readable(key), version),
    close: () => Promise.resolve(),
  }
}

/**
 * The outcomes, unless one tells of what its entry does not name: the id is that of another entry then, and its outcome the business
 * of one who may read everything. Throws `InvalidRequest`.
 */
export function ownOutcomes(
  grant: Grant,
  entries: readonly EntryInput[],
  outcomes: readonly Outcome[],
  bucket: string,
): readonly Outcome[] {
  if (mayReadAll(grant, bucket)) return outcomes
  for (const [index, outcome] of outcomes.entries()) {
    const named = new Set(entries[index]?.changes.map((change) => change.key))
    const told = outcome.ok ? outcome.blobs : outcome.conflicts
    if (told.every(({ key }) => named.has(key))) continue
    throw new BlobsError('InvalidRequest', `the id ${outcome.id} belongs to another entry`, {
      bucket,
      hint: 'make a new id for each entry',
    })
  }
  return outcomes
}

async function checkEntry(scope: Scope, entry: EntryInput): Promise<void> {
  const { grant, bucket } = scope
  for (const change of entry.changes) {
    checkKey(change.key)
    if (change.type === 'delete') {
      allow(scope, mayDelete(grant, bucket, change.key), 'delete', change.key)
      continue
    }
    allow(scope, mayWrite(grant, bucket, change.key), 'write', change.key)
    if ('copy' in change.body) {
      allow(scope, mayRead(grant, bucket, checkKey(change.body.copy.key)), 'copy', change.body.copy.key)
    } else if ('refs' in change.body && !mayReadAll(grant, bucket)) {
      const other = await notBrought(change.body, scope.brought, () => setImmediate())
      if (other !== null) {
        throw new BlobsError('InvalidRequest', `chunk ${other} of ${change.key} was not staged with this token`, {
          key: change.key,
          bucket,
          hint: 'ask chunks/missing, send what it names to chunks, and commit again',
        })
      }
    }
  }
}

async function* readableChanges(
  source: AsyncIterable<FeedItem>,
  grant: Grant,
  bucket: string,
): AsyncGenerator<FeedItem, void, undefined> {
  for await (const item of source) {
    if (item.type === 'bookmark' || mayRead(grant, bucket, item.key)) yield item
  }
}

/** Returns the key, or throws `Forbidden`. */
function allow({ grant, bucket }: Scope, allowed: boolean, act: string, key = ''): string {
  if (allowed) return key
  const what = key === '' ? bucket : `${bucket}/${key}`
  throw new BlobsError('Forbidden', `this token may not ${act} ${what}`, {
    bucket,
    ...(key === '' ? {} : { key }),
    hint: scopeHint(grant),
  })
}

/** Says what a token may do instead. */
export function scopeHint({ can, bucket, prefixes }: Grant): string {
  const where = bucket === '*' ? 'every bucket' : bucket
  const below = prefixes === null ? '' : `, only at or below ${prefixes.join(', ')}`
  return `it allows ${can.length === 0 ? 'nothing' : can.join(', ')} in ${where}${below}`
}
