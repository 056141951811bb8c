import * as nats from '@nats-io/transport-node'
import { BlobsError } from '../../store/contract/errors.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import type { BackendContext } from '../../store/ports.ts'
import type { NatsOptions } from './options.ts'

const LARGEST = 65_536

export interface NatsCredentials {
  /** Null: the server is shown none. */
  readonly authenticator: nats.Authenticator | null
  /** The secret itself travels, instead of a proof that it is known. */
  readonly revealed: boolean
}

/** What to show the server, by the first that is given: `?creds`, NATS_CREDS, NATS_NKEY, NATS_USER, NATS_TOKEN, the token of blobs. */
export async function findCredentials(
  { creds }: NatsOptions,
  { env, token }: Pick<BackendContext, 'env' | 'token'>,
): Promise<NatsCredentials> {
  const file = creds ?? (env['NATS_CREDS'] || null)
  if (file !== null) return proof(nats.credsAuthenticator(readSecret(file)))
  const key = env['NATS_NKEY']
  if (key) return proof(nats.nkeyAuthenticator(/^SU[A-Z2-7]{56}$/.test(key) ? Buffer.from(key) : seedIn(key)))
  const user = env['NATS_USER']
  if (user) return reveal(nats.usernamePasswordAuthenticator(user, env['NATS_PASSWORD'] ?? ''))
  const secret = env['NATS_TOKEN'] || (await token())
  return secret ? reveal(nats.tokenAuthenticator(secret)) : { authenticator: null, revealed: false }
}

function proof(authenticator: nats.Authenticator): NatsCredentials {
  return { authenticator, revealed: false }
}

function reveal(authenticator: nats.Authenticator): NatsCredentials {
  return { authenticator, revealed: true }
}

function seedIn(path: string): Uint8Array {
  const seed = /\bSU[A-Z2-7]{56}\b/.exec(Buffer.from(readSecret(path)).toString('latin1'))?.[0]
  if (seed !== undefined) return Buffer.from(seed)
  throw new BlobsError('InvalidRequest', `${path} holds no seed of an NKey`, { hint: 'nk -gen user makes one' })
}

function readSecret(path: string): Uint8Array {
  const bytes = systemFileSystem().readSmall(path, LARGEST)
  if (bytes !== null) return bytes
  throw new BlobsError('NotFound', `the credentials ${path} are not there`, { hint: 'name a file of credentials' })
}
