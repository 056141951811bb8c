import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomically } from '../platform/atomic-write.ts'
import { makePrivate } from '../platform/directories.ts'
import type { FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Location } from './target.ts'

/** A server that this machine joined or signed in to. */
export interface KnownServer {
  readonly origin: Location
  /** PEM: the only certificate that it is trusted with; absent: whatever the usual authorities vouch for. */
  readonly certificate?: string
  /** What to show it, where that is kept here. */
  readonly token?: string
  /** Where the token is: in the keychain, or here, because that was wished. */
  readonly tokenIn?: 'keychain' | 'file'
  /** Buckets there that were joined: each has a token of its own, kept under `joinedPlace`. */
  readonly joined?: readonly string[]
}

/** What is known of the server at an origin, or null. Throws `Corrupt` for a file that is not whole; errno errors. */
export function knownServer(stateDirectory: string, origin: Location): KnownServer | null {
  const path = serverFile(stateDirectory, origin)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const server = parse(text)
  if (server?.origin === origin) return server
  // Without it, a pinned server would be trusted like any other.
  throw new BlobsError('Corrupt', `${path} does not hold what is known of ${origin}`, {
    hint: 'remove it and join again with a new link: blobs join LINK FOLDER',
  })
}

/** Keeps it durably in a file that only its owner may read; its path. Replaces what was known. Errno errors. */
export async function keepServer(
  stateDirectory: string,
  server: KnownServer,
  { fs, ids }: { readonly fs: FileSystem; readonly ids: Ids },
): Promise<string> {
  makePrivate(join(stateDirectory, 'servers'))
  const path = serverFile(stateDirectory, server.origin)
  const bytes = Buffer.from(`${JSON.stringify(server, null, 1)}\n`)
  await writeAtomically(fs, ids, path, pieces(bytes), { mode: 0o600 })
  return path
}

/** Under what the token is kept that is for one bucket alone. */
export function joinedPlace(origin: Location, bucket: string): string {
  return `${origin}/${bucket}`
}

/** Errno errors, ENOENT aside. */
export function forgetServer(stateDirectory: string, origin: Location): void {
  rmSync(serverFile(stateDirectory, origin), { force: true })
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function serverFile(stateDirectory: string, origin: Location): string {
  const name = createHash('sha256').update(origin).digest('hex').slice(0, 32)
  return join(stateDirectory, 'servers', `${name}.json`)
}

function isNames(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string')
}

function parse(text: string): KnownServer | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null
  }
  const { origin, certificate, token, tokenIn, joined } = Object(value) as Record<string, unknown>
  if (typeof origin !== 'string') return null
  if (certificate !== undefined && typeof certificate !== 'string') return null
  if (token !== undefined && typeof token !== 'string') return null
  if (tokenIn !== undefined && tokenIn !== 'keychain' && tokenIn !== 'file') return null
  if ((token !== undefined) !== (tokenIn === 'file')) return null
  return {
    origin,
    ...(certificate === undefined ? {} : { certificate }),
    ...(token === undefined ? {} : { token }),
    ...(tokenIn === undefined ? {} : { tokenIn }),
    ...(isNames(joined) ? { joined } : {}),
  }
}
