import { CODE } from '../access/invitations.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { checkBucketName } from '../store/contract/keys.ts'
import type { Location } from './target.ts'

/** What `blobs share` hands on: `https://host:7420/bucket#CODE.FINGERPRINT`. */
export interface Link {
  readonly origin: Location
  readonly bucket: string
  readonly code: string
  /** SHA-256 of the server's certificate, 64 lower-case hex digits; null where the usual authorities vouch for it, or without TLS. */
  readonly fingerprint: string | null
}

const FORM = 'it looks like https://host:7420/bucket#… and is what blobs share prints on the other machine'

export function formatLink({ origin, bucket, code, fingerprint }: Link): string {
  // Shorter than in hex, for the eye and the QR code.
  const proof = fingerprint === null ? '' : `.${Buffer.from(fingerprint, 'hex').toString('base64url')}`
  return `${origin}/${bucket}#${code}${proof}`
}

/** Throws `InvalidRequest` for what is no link, `Refused` for one whose code would travel in the clear. Never shows the code. */
export function parseLink(text: string): Link {
  const url = URL.canParse(text.trim()) ? new URL(text.trim()) : null
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.username !== '') {
    throw bad('this is not a link to join with')
  }
  if (url.hash === '') throw bad('the link has no code: the part from # on is missing (put the link in quotes)')
  const [code = '', proof, more] = url.hash.slice(1).split('.')
  const bucket = url.pathname.slice(1)
  checkBucketName(bucket)
  if (!CODE.test(code) || more !== undefined) throw bad('the code in the link is not whole')
  const fingerprint = proof === undefined ? null : fingerprintIn(proof)
  if (url.protocol === 'http:') checkClear(url, fingerprint)
  return { origin: url.origin, bucket, code, fingerprint }
}

function fingerprintIn(proof: string): string {
  if (!/^[A-Za-z0-9_-]{43}$/.test(proof)) throw bad('the fingerprint at the end of the link is not whole')
  return Buffer.from(proof, 'base64url').toString('hex')
}

function checkClear({ hostname, host }: URL, fingerprint: string | null): void {
  if (fingerprint !== null) throw bad('the link has a fingerprint, but no https:')
  if (/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname)) return
  throw new BlobsError('Refused', `without TLS, the code and the token could be read on the way to ${host}`, {
    hint: 'share with --host there, which gives an https: link · or come through an ssh tunnel, with 127.0.0.1 in the link',
  })
}

function bad(message: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint: FORM })
}
