import type { IncomingMessage } from 'node:http'
import { Malformed } from '../protocol/schema.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** Fields that say one thing: given twice, this server and a proxy before it might each believe another one. */
const ONCE: ReadonlySet<string> = new Set([
  'authorization',
  'content-type',
  'host',
  'if-match',
  'if-none-match',
  'if-range',
  'last-event-id',
  'range',
])

/**
 * Throws for the head of a request that asks for what is not done here, where doing the rest would do something else than was
 * meant: a part of a blob would replace all of it, packed bytes would be kept for plain ones, a condition would not hold.
 */
export function checkHead(request: IncomingMessage): void {
  const { headers, method, httpVersion } = request
  refuseTwice(request)
  if (headers.host === undefined && httpVersion !== '1.0') throw new Malformed('host', 'missing')
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') refuse('Expect', headers.expect)
  const coding = headers['transfer-encoding']
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') refuse('Transfer-Encoding', coding)
  if (method === 'GET' || method === 'HEAD') return
  const packed = headers['content-encoding']
  if (packed !== undefined && packed.trim().toLowerCase() !== 'identity') refuse('Content-Encoding', packed)
  if (headers['content-range'] !== undefined) refuse('Content-Range', headers['content-range'])
  for (const name of ['If-Modified-Since', 'If-Unmodified-Since'] as const) {
    const value = headers[name.toLowerCase()]
    if (value !== undefined) refuse(name, String(value), 'a write understands If-Match and If-None-Match: *')
  }
}

function refuseTwice({ rawHeaders }: IncomingMessage): void {
  const seen = new Set<string>()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase() ?? ''
    if (!ONCE.has(name) && !name.startsWith('x-blobs-')) continue
    if (seen.has(name)) throw new Malformed(name, 'given twice')
    seen.add(name)
  }
}

function refuse(name: string, value: string, hint = 'send the bytes of the blob as they are, all of them'): never {
  throw new BlobsError('InvalidRequest', `${name}: ${value} is not understood`, { hint })
}
