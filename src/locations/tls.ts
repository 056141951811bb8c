import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { BlobsError } from '../store/contract/errors.ts'

/** Reads a certificate and its key, PEM both. Throws `InvalidRequest` for files that are none or do not belong together; errno errors. */
export function readTls(certFile: string, keyFile: string): { readonly cert: string; readonly key: string } {
  const cert = readFileSync(certFile, 'utf8')
  const key = readFileSync(keyFile, 'utf8')
  const certificate = attempt(() => new X509Certificate(cert), `${certFile} is not a certificate in PEM form`)
  const secret = attempt(() => createPrivateKey(key), `${keyFile} is not an unencrypted private key in PEM form`)
  if (certificate.checkPrivateKey(secret)) return { cert, key }
  throw bad(`${keyFile} is not the key of ${certFile}`)
}

function attempt<T>(act: () => T, otherwise: string): T {
  try {
    return act()
  } catch (cause) {
    throw bad(otherwise, cause)
  }
}

function bad(message: string, cause?: unknown): BlobsError {
  return new BlobsError('InvalidRequest', message, { cause, hint: 'give --tls-cert and --tls-key a matching pair' })
}
