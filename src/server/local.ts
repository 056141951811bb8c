import type { IncomingMessage } from 'node:http'
import { isOwnAddress } from '../access/tries.ts'
import { BlobsError } from '../store/contract/errors.ts'

const FORWARDED = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const
const OWN_NAME = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i

/**
 * Whether a program on this machine asks for itself: a proxy asks for others, and a page in a browser that a foreign name leads here
 * names that name.
 */
export function isLocal({ socket, headers }: IncomingMessage): boolean {
  if (!isOwnAddress(socket.remoteAddress ?? '') || !OWN_NAME.test(headers.host ?? '')) return false
  return FORWARDED.every((name) => headers[name] === undefined)
}

/** Throws `Forbidden` unless a program on this machine asks for itself, or a page that came from this very server. */
export function checkLocal(request: IncomingMessage): void {
  if (!isLocal(request)) {
    throw new BlobsError('Forbidden', 'this is for programs on the machine of the server', {
      hint: 'ask for it as localhost, without a proxy',
    })
  }
  const { origin, host, 'sec-fetch-site': site } = request.headers
  const foreign = origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`
  // A browser sends no origin with a picture or a link, but says where it comes from.
  if (!foreign && (site === undefined || site === 'same-origin' || site === 'none')) return
  throw new BlobsError('Forbidden', 'a page of another origin may not ask this')
}
