import type { Clock, Ids } from '../../platform/ports.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Backend, BackendPromises } from '../ports.ts'
import { objectContent } from './content.ts'
import { openObjectLog } from './log.ts'
import { nameOf, numberOf } from './names.ts'
import type { Objects } from './objects.ts'

const REMOVED = 'removed\n'
/** Names that are removed in one call. */
const REMOVE_BATCH = 1000

export interface ObjectBackendOptions {
  /** Closed with the backend. */
  readonly objects: Objects
  readonly promises: BackendPromises
  readonly viewDirectory: string | null
  readonly clock: Clock
  readonly ids: Ids
  /** Calls at the same time. */
  readonly parallel: number
  /** Most bytes of a frame of the log; at least `promises.maxEntryBytes`. */
  readonly maxFrameBytes: number
  /** Milliseconds between two looks for what others appended: at first, and after nothing has come for a while. */
  readonly looks: readonly [first: number, longest: number]
}

/**
 * Buckets in a place of named objects. `buckets/NAME/1` holds the id of the bucket; `…/2` says that it was removed, `…/3` is the next of that
 * name: so nothing is ever changed, and who comes first is decided for all. Its objects are `data/NAME/ID/…`.
 */
export function openObjectBackend(options: ObjectBackendOptions): Backend {
  const { objects, promises, viewDirectory, ids } = options
  return {
    promises,
    viewDirectory,
    create: async (name) => {
      const newest = await newestOf(objects, name)
      if (newest % 2 === 1) return false
      return objects.create(markOf(name, newest + 1), Buffer.from(ids.next()))
    },
    names: async () => {
      const newest = new Map<string, number>()
      for await (const batch of objects.list({ prefix: 'buckets/' })) {
        for (const mark of batch) newest.set(mark.name.split('/')[1] ?? '', numberOf(mark.name))
      }
      return [...newest].flatMap(([name, number]) => (number % 2 === 1 ? [name] : [])).sort()
    },
    remove: async (name) => {
      const newest = await newestOf(objects, name)
      const id = newest % 2 === 1 ? await readId(objects, name, newest) : null
      if (id === null || !(await objects.create(markOf(name, newest + 1), Buffer.from(REMOVED)))) return false
      await removeAll(objects, `data/${name}/${id}/`)
      return true
    },
    open: async (name) => {
      const newest = await newestOf(objects, name)
      const id = newest % 2 === 1 ? await readId(objects, name, newest) : null
      if (id === null) return null
      const bucket = {
        ...options,
        root: `data/${name}/${id}/`,
        checkPresent: (names: readonly string[] = []) => checkPresent(objects, name, newest, names),
      }
      return {
        log: openObjectLog({ ...bucket, maxEntryBytes: promises.maxEntryBytes }),
        content: objectContent(bucket),
      }
    },
    close: () => objects.close(),
  }
}

function markOf(name: string, number: number): string {
  return nameOf(`buckets/${name}/`, number)
}

async function newestOf(objects: Objects, name: string): Promise<number> {
  let newest = 0
  for await (const batch of objects.list({ prefix: `buckets/${name}/` })) newest = numberOf(batch.at(-1)?.name ?? '')
  return newest
}

async function readId(objects: Objects, name: string, number: number): Promise<string | null> {
  const bytes = await objects.read(markOf(name, number))
  return bytes === null ? null : Buffer.from(bytes).toString('latin1')
}

/** Throws `NotFound` when the bucket was removed, `Unavailable` when the whole place seems to be another. Gives those of some names that are missing. */
async function checkPresent(
  objects: Objects,
  name: string,
  number: number,
  names: readonly string[],
): Promise<readonly string[]> {
  const [made, removed] = [markOf(name, number), markOf(name, number + 1)]
  const missing = await objects.missing([...(names.length === 0 ? [made] : names), removed])
  if (!missing.includes(removed)) throw new BlobsError('NotFound', `bucket ${name} was removed`, { bucket: name })
  if (!missing.includes(made)) return missing.filter((one) => one !== removed)
  throw new BlobsError('Unavailable', `bucket ${name} is not in its place any more`, {
    bucket: name,
    hint: 'is the disk, or the storage, the one that it was?',
  })
}

async function removeAll(objects: Objects, prefix: string): Promise<void> {
  let names: string[] = []
  for await (const batch of objects.list({ prefix })) {
    names.push(...batch.map(({ name }) => name))
    if (names.length < REMOVE_BATCH) continue
    await objects.remove(names)
    names = []
  }
  if (names.length > 0) await objects.remove(names)
}
