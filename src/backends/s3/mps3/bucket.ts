import { BlobsError } from '../../../store/contract/errors.ts'
import type { ForeignBucket, ForeignChange } from '../../../store/mirror/foreign.ts'
import { openGroup } from './group.ts'
import type { Latest, ManifestLog } from './log.ts'
import { openRescue } from './rescue.ts'
import { MAX_VALUE_BYTES, type Values } from './values.ts'

const BATCH = 1000

interface Mps3BucketOptions {
  readonly log: ManifestLog
  readonly values: Values
  /** The S3 bucket: what stands in others is not shown. */
  readonly bucket: string
}

/**
 * A manifest as a bucket. Clients write without comparing, so two may take one name without knowing of each other: whoever of them is
 * `blobs` sees that in the log afterwards, and gives the bytes that lost the name one of their own beside it.
 */
export function openMps3Bucket({ log, values, bucket }: Mps3BucketOptions): ForeignBucket {
  const root = `${bucket}/`
  const rescue = openRescue({ log, values, root })
  const group = openGroup(log, async ({ key }) => {
    rescue.remember([key])
    await rescue.restore(await log.latest())
  })
  const latest = async (): Promise<Latest> => {
    const found = await log.latest()
    return (await rescue.restore(found)) ? log.latest() : found
  }
  return {
    list: async function* () {
      const { files } = await latest()
      const items = [...files].flatMap(([ref, version]) =>
        ref.startsWith(root) ? [{ key: ref.slice(root.length), tag: version, size: null, modified: null }] : [],
      )
      for (let at = 0; at < items.length; at += BATCH) yield items.slice(at, at + BATCH)
    },
    read: async function* ({ key, tag }) {
      const bytes = await values.get(key, tag)
      if (bytes === null) throw new BlobsError('NotFound', `${key} is not there in version ${tag}`, { key })
      yield bytes
    },
    check: (key, size) => {
      if (size <= MAX_VALUE_BYTES) return
      throw new BlobsError('TooLarge', `${key} has ${size} bytes: a value may have ${MAX_VALUE_BYTES}`, { key })
    },
    write: async (changes) => {
      const made: (string | null)[] = []
      for (const change of changes) made.push(await writeValue(values, change))
      rescue.remember(made.filter((version) => version !== null))
      await group.write((files) => {
        checkExpected(changes, (key) => files.get(root + key) ?? null)
        return new Map(changes.map(({ key }, index) => [root + key, made[index] ?? null]))
      })
      return made
    },
    close: async () => undefined,
  }
}

async function writeValue(values: Values, { key, put }: ForeignChange): Promise<string | null> {
  if (put !== null) {
    const parts: Uint8Array[] = []
    for await (const part of put.open()) parts.push(part)
    return values.put(key, Buffer.concat(parts))
  }
  await values.remove(key)
  return null
}

/** The last look before a write that compares nothing itself. */
function checkExpected(changes: readonly ForeignChange[], versionOf: (key: string) => string | null): void {
  const failing = changes.find(({ key, expected }) => versionOf(key) !== expected)
  if (failing === undefined) return
  throw new BlobsError('VersionConflict', `${failing.key} has just been changed by somebody else`, { key: failing.key })
}
