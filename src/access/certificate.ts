import { generateKeyPairSync, randomBytes, sign, X509Certificate } from 'node:crypto'

/** A certificate and its key, PEM both. */
export interface CertifiedKey {
  readonly cert: string
  readonly key: string
}

const OID = {
  commonName: '2.5.4.3',
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  keyUsage: '2.5.29.15',
  alternativeNames: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
} as const
const COMMON_NAME = 'blobs'
// Whoever uses it knows it by its fingerprint, so it need not end: RFC 5280 has this time for what has no end.
const NOT_BEFORE = '200101000000Z'
const NOT_AFTER = '99991231235959Z'

/**
 * Makes a key (P-256) and a certificate for it, signed by itself. It says nothing of who has it: clients must know its fingerprint.
 * `names` are DNS names that it is for as well, for clients that look at them.
 */
export function makeCertificate(names: readonly string[]): CertifiedKey {
  // Chance is not an argument here: a key that a caller could choose is none.
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const algorithm = sequence(identifier(OID.ecdsaWithSha256))
  const name = sequence(node(0x31, sequence(identifier(OID.commonName), text(0x0c, COMMON_NAME))))
  const body = sequence(
    node(0xa0, node(0x02, Buffer.from([2]))),
    node(0x02, serial),
    algorithm,
    name,
    sequence(text(0x17, NOT_BEFORE), text(0x18, NOT_AFTER)),
    name,
    publicKey.export({ format: 'der', type: 'spki' }),
    node(0xa3, extensions(names)),
  )
  const signature = sign('sha256', body, privateKey)
  const der = sequence(body, algorithm, node(0x03, Buffer.from([0]), signature))
  return {
    cert: toPem(der),
    key: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  }
}

/** SHA-256 of a certificate (PEM) as 64 lower-case hex digits. */
export function fingerprintOf(certificate: string): string {
  return new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase()
}

export function toPem(der: Uint8Array): string {
  const lines = Buffer.from(der)
    .toString('base64')
    .match(/.{1,64}/g)
  return `-----BEGIN CERTIFICATE-----\n${(lines ?? []).join('\n')}\n-----END CERTIFICATE-----\n`
}

/** A leaf for TLS servers, which signs nothing else. */
function extensions(names: readonly string[]): Buffer {
  const alternatives = names.map((name) => text(0x82, name))
  return sequence(
    extension(OID.basicConstraints, true, sequence()),
    extension(OID.keyUsage, true, node(0x03, Buffer.from([7, 0x80]))),
    extension(OID.extendedKeyUsage, false, sequence(identifier(OID.serverAuth))),
    extension(OID.alternativeNames, false, sequence(...alternatives)),
  )
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  const flag = critical ? [node(0x01, Buffer.from([0xff]))] : []
  return sequence(identifier(oid), ...flag, node(0x04, value))
}

// DER: a tag, a length, the content.
function node(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...size]), content])
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return node(0x30, ...parts)
}

function text(tag: number, value: string): Buffer {
  return node(tag, Buffer.from(value, 'utf8'))
}

function identifier(oid: string): Buffer {
  const [first = 0, second = 0, ...rest] = oid.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const part of rest) {
    const digits = [part & 0x7f]
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80)
    bytes.push(...digits)
  }
  return node(0x06, Buffer.from(bytes))
}
