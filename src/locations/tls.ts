import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fingerprintOf, makeCertificate, type CertifiedKey } from '../access/certificate.ts'
import { makePrivate } from '../platform/directories.ts'
import { publishOnce, syncPath } from '../platform/private-files.ts'
import type { Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** Reads a certificate and its key, PEM both. Throws `InvalidRequest` for files that are none or do not belong together; errno errors. */
export function readTls(certFile: string, keyFile: string): CertifiedKey {
  const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') }
  const problem = problemWith(pair, certFile, keyFile)
  if (problem === null) return pair
  throw new BlobsError('InvalidRequest', problem, { hint: 'give --tls-cert and --tls-key a matching pair' })
}

/**
 * The certificate that belongs to a store, made and signed by itself on the first call: file `tls.pem` in the data directory (0600), with its
 * key. Throws `Refused` for a file that others can read or that is broken; errno errors.
 */
export function openTls(dataDirectory: string, names: readonly string[], ids: Ids): CertifiedKey {
  const path = join(dataDirectory, 'tls.pem')
  const found = readPair(path)
  if (found !== null) return found
  makePrivate(dataDirectory)
  const { cert, key } = makeCertificate(names)
  publishOnce(path, cert + key, `${path}.${ids.next()}`)
  syncPath(dataDirectory)
  const made = readPair(path)
  if (made !== null) return made
  throw Object.assign(new Error(`${path} vanished while it was made`), { code: 'ENOENT', path })
}

/** Who must know the certificate by its fingerprint gets it; null if authorities may vouch for it. */
export function ownFingerprint({ cert }: CertifiedKey): string | null {
  const certificate = new X509Certificate(cert)
  return certificate.verify(certificate.publicKey) ? fingerprintOf(cert) : null
}

/** The first name that a certificate is for, or null if it names none that could be in a link. */
export function nameIn({ cert }: CertifiedKey): string | null {
  return /(?:^|, )DNS:([a-z0-9.-]+)(?:,|$)/i.exec(new X509Certificate(cert).subjectAltName ?? '')?.[1] ?? null
}

function readPair(path: string): CertifiedKey | null {
  let text: string
  try {
    if ((statSync(path).mode & 0o077) !== 0 && process.platform !== 'win32') {
      throw new BlobsError('Refused', `${path} can be read by other users, so the key in it is no secret`, {
        hint: `if nobody else has read it: chmod 600 ${path}; otherwise remove it, and others must join again`,
      })
    }
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
  const start = Math.max(0, text.indexOf('-----BEGIN PRIVATE KEY-----'))
  const pair = { cert: text.slice(0, start), key: text.slice(start) }
  const problem = problemWith(pair, path, path)
  if (problem === null) return pair
  throw new BlobsError('Refused', problem, { hint: 'remove it, and a new one is made; others must join again then' })
}

/** What is wrong with a pair, or null. */
function problemWith({ cert, key }: CertifiedKey, certFile: string, keyFile: string): string | null {
  const certificate = attempt(() => new X509Certificate(cert))
  if (certificate === null) return `${certFile} is not a certificate in PEM form`
  const secret = attempt(() => createPrivateKey(key))
  if (secret === null) return `${keyFile} is not an unencrypted private key in PEM form`
  return certificate.checkPrivateKey(secret) ? null : `${keyFile} is not the key of ${certFile}`
}

/** Reads a PEM file of authorities to trust. Throws `InvalidRequest` for one that holds none; errno errors. */
export function readAuthority(file: string): string {
  const pem = readFileSync(file, 'utf8')
  try {
    void new X509Certificate(pem)
  } catch (cause) {
    throw new BlobsError('InvalidRequest', `${file} holds no certificate in PEM form`, {
      cause,
      hint: 'give the certificate of the authority that signed that of the server',
    })
  }
  return pem
}

function attempt<T>(act: () => T): T | null {
  try {
    return act()
  } catch {
    return null
  }
}
