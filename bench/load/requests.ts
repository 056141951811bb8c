import { randomBytes } from 'node:crypto'
import type { Operation } from './drive.ts'
import { keyOf } from './fill.ts'

export type Mix = 'puts' | 'gets' | 'mixed'
export interface RequestOptions {
  readonly mix: Mix
  readonly bucket: string
  /** Keys that are asked for, from number 0 on. */
  readonly keys: number
  /** Bytes of a put. */
  readonly size: number
  /** That of each connection. */
  readonly tokens: readonly string[]
  readonly host: string
}

/** Gives one request after the other: each key in turn, each put with bytes of its own; `mixed` is as many gets as puts. */
export function requestsOf({ mix, bucket, keys, size, tokens, host }: RequestOptions): (at: number) => Operation {
  const noise = randomBytes(Math.max(size, 8))
  // The end of the bytes, so that no put is like one before it, in this run or another.
  const stamp = Math.max(0, size - 8)
  let count = 0
  return (connection) => {
    const number = count++
    const head = (method: string, more = ''): string =>
      `${method} /v1/buckets/${bucket}/blobs/${keyOf(pick(number, keys))} HTTP/1.1\r\nhost: ${host}\r\n` +
      `authorization: Bearer ${tokens[connection] ?? ''}\r\n${more}\r\n`
    if (mix === 'gets' || (mix === 'mixed' && number % 2 === 1)) {
      return { kind: 'get', request: Buffer.from(head('GET')) }
    }
    const text = Buffer.from(head('PUT', `content-length: ${size}\r\n`))
    const request = Buffer.concat([text, noise], text.length + size)
    if (size >= 8) request.writeDoubleLE(number, text.length + stamp)
    return { kind: 'put', request }
  }
}

/** Spreads numbers over the keys, each key as often as any other. */
function pick(number: number, keys: number): number {
  return (number * 7919) % keys
}
