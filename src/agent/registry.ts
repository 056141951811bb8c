import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomically } from '../platform/atomic-write.ts'
import { makePrivate } from '../platform/directories.ts'
import type { FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { MaxDelete } from '../sync/agent.ts'

/** A folder that the background agent keeps in sync, and how it gets at the bucket; never a secret. */
export interface KeptFolder {
  /** Absolute. */
  readonly folder: string
  readonly profile?: string
  /** Absolute. */
  readonly tokenFile?: string
  /** Absolute. */
  readonly caCert?: string
  readonly singleWriter?: boolean
  readonly exclude?: readonly string[]
  readonly maxDelete?: MaxDelete
  /** Bytes a second. */
  readonly limitRate?: number
}
export interface Registry {
  readonly folders: readonly KeptFolder[]
  /** Whether the desktop is told of conflicts and brakes. */
  readonly notify: boolean
}

const NOTHING: Registry = { folders: [], notify: true }

/** Where the background agent of a state directory keeps its own things. */
export function agentDirectory(stateDirectory: string): string {
  return join(stateDirectory, 'agent')
}

/** What was last written; nothing at first. Throws `Corrupt` for a file that is none of ours; errno errors. */
export function readRegistry(stateDirectory: string): Registry {
  const path = fileOf(stateDirectory)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING
    throw error
  }
  const registry = parse(text)
  if (registry !== null) return registry
  throw new BlobsError('Corrupt', `${path} does not hold the folders of the background agent`, {
    hint: 'remove it and add the folders again: blobs agent start FOLDER...',
  })
}

/** Replaces it as a whole, durably. Errno errors. */
export async function writeRegistry(
  stateDirectory: string,
  registry: Registry,
  { fs, ids }: { readonly fs: FileSystem; readonly ids: Ids },
): Promise<void> {
  makePrivate(agentDirectory(stateDirectory))
  const bytes = Buffer.from(`${JSON.stringify(registry, null, 1)}\n`)
  await writeAtomically(fs, ids, fileOf(stateDirectory), pieces(bytes), { mode: 0o600 })
}

/** The registry with these folders; what was said of one of them before is replaced. */
export function withFolders(registry: Registry, folders: readonly KeptFolder[]): Registry {
  const names = new Set(folders.map(({ folder }) => folder))
  return { ...registry, folders: [...registry.folders.filter(({ folder }) => !names.has(folder)), ...folders] }
}

export function withoutFolders(registry: Registry, folders: readonly string[]): Registry {
  return { ...registry, folders: registry.folders.filter(({ folder }) => !folders.includes(folder)) }
}

function fileOf(stateDirectory: string): string {
  return join(agentDirectory(stateDirectory), 'folders.json')
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function parse(text: string): Registry | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  const { folders, notify } = Object(value) as Record<string, unknown>
  if (!Array.isArray(folders) || typeof notify !== 'boolean' || !folders.every(isKept)) return null
  return { folders, notify }
}

function isKept(value: unknown): value is KeptFolder {
  const { folder, profile, tokenFile, caCert } = Object(value) as Record<string, unknown>
  return (
    typeof folder === 'string' &&
    [profile, tokenFile, caCert].every((one) => ['string', 'undefined'].includes(typeof one))
  )
}
