import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** A certificate of its own for localhost, made by openssl. */
export async function makeCertificate(): Promise<{ cert: string; key: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'blobs-tls-'))
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  await promisify(execFile)('openssl', ['req', '-x509', ...curve, ...subject, '-keyout', key, '-out', cert])
  const pem = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') }
  await rm(directory, { recursive: true })
  return pem
}
