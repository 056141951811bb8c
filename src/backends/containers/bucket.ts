import { BlobsError } from '../../store/contract/errors.ts'
import type { ForeignBucket, ForeignChange, ForeignItem, ForeignPut } from '../../store/mirror/foreign.ts'
import { eachOf } from '../../store/objects/each.ts'
import { formatName, LONGEST_KEY, nameHash, nameRandom } from './names.ts'
import { candidates, replacedPlain, rowsByKey, tagOf, type KeyRows, type Row, type Version } from './rows.ts'
import { fieldsOf, unexpected } from './session.ts'
import { download, upload, type Server } from './transfer.ts'

/** The server counts bytes in 31 bits. */
const LARGEST = 2 ** 31 - 1
const BATCH = 1000
/** Changes of an entry that are written at the same time. */
const PARALLEL = 4
const NOTHING: KeyRows = { versions: [], plain: [] }

export interface ContainerOptions extends Server {
  readonly name: string
  /** Throws `NotFound` unless the server lists the container. */
  readonly checkThere: () => Promise<void>
  readonly newId: () => string
  readonly warn: (message: string) => void
}

/** A container as a bucket: each version of a key is a blob of its own, under a name that is used once. */
export function openContainer(options: ContainerOptions): ForeignBucket {
  let all = new Map<string, KeyRows>()
  const byTag = new Map<string, readonly Row[]>()
  const warned = new Set<string>()
  const warnOfSeveral = (key: string, { plain }: KeyRows): void => {
    if (plain.length < 2 || warned.has(key)) return
    warned.add(key)
    options.warn(`${key} was stored ${plain.length} times under that very name: the server gives the bytes of one only`)
  }
  return {
    list: async function* () {
      all = rowsByKey(await listBlobs(options))
      byTag.clear()
      let batch: ForeignItem[] = []
      for (const [key, rows] of all) {
        warnOfSeveral(key, rows)
        for (const some of candidates(rows)) {
          const tag = tagOf(some)
          byTag.set(tag, some)
          batch.push({ key, tag, size: some.length === 1 ? (some[0]?.size ?? null) : null, modified: null })
        }
        if (batch.length < BATCH) continue
        yield batch
        batch = []
      }
      if (batch.length > 0) yield batch
    },
    read: async function* ({ key, tag }) {
      const rows = byTag.get(tag)
      if (rows === undefined) throw new BlobsError('NotFound', `${key} was not listed`, { key })
      yield* download(options, options.name, rows)
    },
    check: (key, size) => {
      if ([...key].length > LONGEST_KEY) {
        throw new BlobsError('InvalidKey', `${key} has more than ${LONGEST_KEY} characters: names there have no room`, {
          key,
        })
      }
      if (size > LARGEST) {
        throw new BlobsError('TooLarge', `${key} has ${size} bytes: blobs there have at most ${LARGEST}`, { key })
      }
    },
    write: async (changes) => {
      const writeOne = async ({ key, put }: ForeignChange): Promise<readonly [string, string | null]> => {
        const before = all.get(key) ?? NOTHING
        const after = await (put === null ? remove(options, key, before) : store(options, key, put, before))
        if (after.versions.length + after.plain.length === 0) all.delete(key)
        else all.set(key, after)
        const [first] = after.versions
        if (first !== undefined) byTag.set(tagOf([first]), [first])
        return [key, put === null || first === undefined ? null : tagOf([first])]
      }
      // What replaces something is there before that goes.
      const puts = await eachOf(
        changes.filter(({ put }) => put !== null),
        PARALLEL,
        writeOne,
      )
      const deletes = await eachOf(
        changes.filter(({ put }) => put === null),
        PARALLEL,
        writeOne,
      )
      const tags = new Map([...puts, ...deletes])
      return changes.map(({ key }) => tags.get(key) ?? null)
    },
    close: async () => undefined,
  }
}

async function listBlobs(options: ContainerOptions): Promise<readonly Row[]> {
  const rows = await listOnce(options)
  if (rows.length > 0) return rows
  // The server says the same when its database fails, or the container is gone.
  await options.checkThere()
  return listOnce(options)
}

async function listOnce({ session, name }: ContainerOptions): Promise<readonly Row[]> {
  const { status, value } = await session.ask('GET', `/list_blobs?${new URLSearchParams({ container: name })}`)
  const { blobs } = fieldsOf(value)
  if (status !== 200 || !Array.isArray(blobs)) throw unexpected('list a container', status, value)
  return blobs.map((blob: unknown): Row => {
    const { blob_id: id, blob_name: name, blob_size: size } = fieldsOf(blob)
    if (typeof id === 'string' && typeof name === 'string' && typeof size === 'number') return { id, name, size }
    throw unexpected('list a container', status, null)
  })
}

/** A new version, read back before those that it replaces go: the server acknowledges chunks also when it could not store them. */
async function store(
  options: ContainerOptions,
  key: string,
  { hash, size, open }: ForeignPut,
  before: KeyRows,
): Promise<KeyRows> {
  const made = await storeAs(options, key, before, { hash: nameHash(hash), size, bytes: open() })
  await removeNames(options, before.versions).catch(() => undefined)
  return { ...before, versions: [made] }
}

async function storeAs(
  options: ContainerOptions,
  key: string,
  before: KeyRows,
  {
    hash,
    size,
    bytes,
  }: { readonly hash: string | null; readonly size: number; readonly bytes: AsyncIterable<Uint8Array> },
): Promise<Version> {
  const stored = {
    key,
    version: (before.versions[0]?.stored.version ?? 0) + 1,
    hash,
    random: nameRandom(options.newId()),
    over: replacedPlain(before),
  }
  const row = await upload(options, { container: options.name, name: formatName(stored), size, bytes })
  if (size > 0) await readBack(options, key, row)
  return { ...row, stored }
}

async function readBack(options: ContainerOptions, key: string, row: Row): Promise<void> {
  try {
    for await (const _bytes of download(options, options.name, [row]));
  } catch (cause) {
    throw new BlobsError('Unavailable', `${key} was sent, but the server does not have it whole`, {
      key,
      cause,
      hint: 'are all its data nodes running, and not full? it is tried again',
    })
  }
}

/** What others stored under the plain key is not removed, which would remove it for all users of the server, but hidden by a blob that says so. */
async function remove(options: ContainerOptions, key: string, before: KeyRows): Promise<KeyRows> {
  const hidden = before.plain.length > 0
  const made = hidden ? [await storeAs(options, key, before, { hash: null, size: 0, bytes: nothing() })] : []
  const names = removeNames(options, before.versions.toReversed())
  await (hidden ? names.catch(() => undefined) : names)
  return { ...before, versions: made }
}

async function* nothing(): AsyncGenerator<Uint8Array, void> {}

/** Only names of ours: the server removes a name from every container of every user, and these are nowhere else. In this order. */
async function removeNames({ session, name }: ContainerOptions, versions: readonly Version[]): Promise<void> {
  for (const version of versions) {
    const query = new URLSearchParams({ container: name, blob: version.name })
    const { status, value } = await session.ask('DELETE', `/delete-blob?${query}`)
    if (status !== 200) throw unexpected('remove a blob', status, value)
  }
}
