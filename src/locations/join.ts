import type { FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError, isBlobsError } from '../store/contract/errors.ts'
import { keepJoined, tryStorage } from './credentials.ts'
import type { Link } from './link.ts'
import { forgetServer, joinedPlace, keepServer, knownServer, type KnownServer } from './servers.ts'
import { readAuthority } from './tls.ts'

export interface JoinOptions {
  readonly stateDirectory: string
  /** How this machine calls itself: the name of the token. */
  readonly name: string
  /** PEM file of authorities to trust besides the usual. */
  readonly caCert?: string
  /** The token is kept unencrypted in a file, not in the keychain. */
  readonly insecure: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly fs: FileSystem
  readonly ids: Ids
}
export interface JoinedPlace {
  readonly bucket: string
  readonly prefix: string
  readonly keptIn: 'keychain' | 'file'
}

/**
 * Spends the code of a link for a token, and keeps that for its bucket, with the server's certificate. The code is told to nobody but the server with the
 * link's fingerprint, and only after the place to keep the token (the keychain, unless `insecure`) was tried. Throws `Refused`, `Unauthenticated`, `Unavailable`, errno errors.
 */
export async function joinServer(link: Link, options: JoinOptions): Promise<JoinedPlace> {
  const { redeemCode } = await import('../store/http/join.ts')
  const { stateDirectory, name, caCert } = options
  const { origin, code } = link
  const known = knownServer(stateDirectory, origin)
  const certificate = link.fingerprint === null ? known?.certificate : await proven(link, link.fingerprint)
  const server: KnownServer = { origin, ...(certificate === undefined ? {} : { certificate }) }
  const insecure = options.insecure || known?.tokenIn === 'file'
  await tryStorage(joinedPlace(origin, link.bucket), insecure, options).catch(advise)
  // What was known stays as it is until there is something better.
  await keepServer(stateDirectory, known ?? server, options)
  try {
    const ca = caCert === undefined ? {} : { ca: readAuthority(caCert) }
    const { token, bucket, prefix } = await redeemCode({ ...server, ...ca }, { code, name })
    const keptIn = await keepJoined(server, bucket, token, insecure, options).catch(advise)
    return { bucket, prefix, keptIn }
  } catch (error) {
    if (known === null) forgetServer(stateDirectory, origin)
    if (!isBlobsError(error, 'Unauthenticated') || error.hint === WAY_OUT) throw error
    throw new BlobsError('Unauthenticated', error.message, {
      cause: error,
      hint: 'take a new link from the other machine: the same blobs share prints one each time',
    })
  }
}

const WAY_OUT =
  'unlock it, or keep the token unencrypted in a file that only you may read: the same command with --insecure-storage'

function advise(error: unknown): never {
  if (!isBlobsError(error, 'Unauthenticated')) throw error
  throw new BlobsError('Unauthenticated', error.message, { cause: error, hint: WAY_OUT })
}

/** The certificate of the link's fingerprint, PEM. */
async function proven({ origin }: Link, fingerprint: string): Promise<string> {
  const [{ shownCertificate }, { fingerprintOf, toPem }] = await Promise.all([
    import('../store/http/join.ts'),
    import('../access/certificate.ts'),
  ])
  const certificate = toPem(await shownCertificate(origin))
  if (fingerprintOf(certificate) === fingerprint) return certificate
  throw new BlobsError('Refused', `${origin} is not the server of the link: its certificate has another fingerprint`, {
    hint: 'the code was not sent; is the address right, and nothing between here and there?',
  })
}
