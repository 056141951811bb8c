import { BlobsError } from '../../../store/contract/errors.ts'

/** Of each `BUCKET/key` which version stands there. */
export type Files = ReadonlyMap<string, string>
/** What one write did: null takes a name away. */
export type Update = ReadonlyMap<string, string | null>

/** The content of an entry: what stood there before it, as its writer saw it, and what it did. */
export interface ManifestEntry {
  readonly files: Files
  readonly update: Update
}

/** Reads an entry. Throws `Corrupt` for what is none. */
export function parseEntry(key: string, bytes: Uint8Array): ManifestEntry {
  let document: unknown
  try {
    document = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (cause) {
    throw new BlobsError('Corrupt', `${key} is not JSON`, { cause })
  }
  if (!isRecord(document)) throw new BlobsError('Corrupt', `${key} is no entry of a manifest`)
  const { files = {}, update = {} } = document
  const changed = isRecord(update) ? (update['files'] ?? {}) : null
  if (!isRecord(files) || !isRecord(changed)) throw new BlobsError('Corrupt', `${key} is no entry of a manifest`)
  const standing = versionsOf(files)
  return {
    files: new Map([...standing].flatMap(([ref, version]) => (version === null ? [] : [[ref, version]]))),
    update: versionsOf(changed),
  }
}

/** The JSON of an entry, as MPS3 writes it. */
export function formatEntry({ files, update }: ManifestEntry): string {
  const record = (version: string): object => ({ version, replication: '' })
  const changes = [...update].map(([ref, version]) => [ref, version === null ? null : record(version)])
  return JSON.stringify({
    files: Object.fromEntries([...files].map(([ref, version]) => [ref, record(version)])),
    update: { files: Object.fromEntries(changes) },
  })
}

/** What stands after some writes, the oldest first: the state before the newest of them, and each of them done again. */
export function replay(entries: readonly ManifestEntry[]): Files {
  const files = new Map(entries.at(-1)?.files)
  for (const { update } of entries) {
    for (const [ref, version] of update) {
      if (version === null) files.delete(ref)
      else files.set(ref, version)
    }
  }
  return files
}

function versionsOf(record: Readonly<Record<string, unknown>>): Map<string, string | null> {
  const versions = new Map<string, string | null>()
  for (const [ref, value] of Object.entries(record)) {
    if (value === null) versions.set(ref, null)
    else if (isRecord(value) && typeof value['version'] === 'string') versions.set(ref, value['version'])
  }
  return versions
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
