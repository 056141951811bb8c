import type { Clock } from '../../../platform/ports.ts'
import type { Foreign, ForeignName, ForeignPromises } from '../../../store/mirror/foreign.ts'
import type { S3Client } from '../client.ts'
import { openMps3Bucket } from './bucket.ts'
import { openManifestLog } from './log.ts'
import { parseEntryKey } from './names.ts'
import { openValues } from './values.ts'

/** What a bucket may be called, as elsewhere. */
const NAME = /^[a-z0-9_][a-z0-9._-]{1,62}$/
/** Version of a value, in the name of its object. */
const VERSION = /@[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

export interface Mps3Options {
  readonly client: S3Client
  readonly promises: ForeignPromises
  readonly clock: Clock
  /** Whether versions of values are those of S3. */
  readonly versioned: boolean
}

/** The manifests of an S3 bucket, each as a bucket of its name. */
export function openMps3({ client, promises, clock, versioned }: Mps3Options): Foreign {
  const { bucket, endpoint } = client.settings
  const id = (name: string): string => `${endpoint}/${bucket}/${name}`
  const openLog = (manifest: string) => openManifestLog({ client, manifest, clock })
  return {
    promises,
    buckets: async () => {
      const names: ForeignName[] = []
      for await (const name of manifestsOf(client)) names.push({ name, id: id(name) })
      return names
    },
    create: async (name) => {
      if (await isManifest(client, name)) return false
      return (await client.put(name, Buffer.from('""'), { type: 'application/json', ifAbsent: true })).made
    },
    remove: async (name) => {
      if (!(await isManifest(client, name))) return false
      const { files } = await openLog(name).latest()
      const keys = [...files.keys()].flatMap((ref) =>
        ref.startsWith(`${bucket}/`) ? [ref.slice(bucket.length + 1)] : [],
      )
      for (const key of keys) await removeListed(client, `${key}@`, VERSION)
      await removeListed(client, `${name}@`)
      await client.remove(name)
      return true
    },
    open: ({ name }) => openMps3Bucket({ log: openLog(name), values: openValues(client, versioned), bucket }),
    close: async () => client.close(),
  }
}

/** The objects whose bytes a client touches after each write: they are called as the manifest, and nothing else there has a name without `@`. */
async function* manifestsOf(client: S3Client): AsyncGenerator<string> {
  for (let next: string | null | undefined; next !== null;) {
    const page = await client.page({ prefix: '', delimiter: '@', ...(next === undefined ? {} : { next }) })
    for (const { key } of page.objects) if (NAME.test(key) && (await isManifest(client, key))) yield key
    next = page.next
  }
}

/** A manifest has entries, or is new: then it is the two bytes of an empty text. */
async function isManifest(client: S3Client, name: string): Promise<boolean> {
  const { objects } = await client.page({ prefix: `${name}@`, limit: 1 })
  const [first] = objects
  if (first !== undefined) return parseEntryKey(name, first.key) !== null
  const touched = await client.get(name)
  return touched !== null && touched.bytes.toString('latin1') === '""'
}

async function removeListed(client: S3Client, prefix: string, pattern = /./): Promise<void> {
  for await (const objects of client.list({ prefix })) {
    await client.removeAll(objects.map(({ key }) => key).filter((key) => pattern.test(key)))
  }
}
