/** Many small requests at once, over sockets of its own: a client library would cost as much as the server that is to be measured. */
import { connect } from 'node:net'
import { percentile } from './figures.ts'

export interface Load {
  readonly url: string
  readonly connections: number
  readonly milliseconds: number
  /** The `n`-th request: head and body as they go over the wire. */
  request(n: number): Buffer
}
export interface LoadResult {
  /** Requests that were answered: 0 up to this one. */
  readonly count: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

/** Each connection asks again as soon as it has its answer. Throws when an answer is not a success. */
export async function load({ url, connections, milliseconds, request }: Load): Promise<LoadResult> {
  const spans: number[] = []
  const started = performance.now()
  const until = started + milliseconds
  let sent = 0
  const next = (): Buffer | null => (performance.now() < until ? request(sent++) : null)
  await Promise.all(Array.from({ length: connections }, () => converse(url, next, spans)))
  const seconds = (performance.now() - started) / 1000
  return {
    count: spans.length,
    perSecond: spans.length / seconds,
    p50: percentile(spans, 50),
    p99: percentile(spans, 99),
  }
}

function converse(url: string, next: () => Buffer | null, spans: number[]): Promise<void> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  return new Promise((resolve, reject) => {
    let begun = 0
    let held: Buffer = Buffer.alloc(0)
    const send = (): void => {
      const request = next()
      if (request === null) return void socket.end()
      begun = performance.now()
      socket.write(request)
    }
    socket.setNoDelay(true)
    socket.on('connect', send)
    socket.on('error', reject)
    socket.on('close', () => resolve())
    socket.on('data', (bytes) => {
      held = held.length === 0 ? bytes : Buffer.concat([held, bytes])
      const length = lengthOf(held)
      if (length === null || held.length < length) return
      if (held[9] !== 0x32) return void socket.destroy(new Error(`refused: ${held.subarray(0, 400).toString()}`))
      held = Buffer.alloc(0)
      spans.push(performance.now() - begun)
      send()
    })
  })
}

/** Bytes of the whole answer, or null while its head is not there. An answer that does not say its length has no body here. */
function lengthOf(held: Buffer): number | null {
  const end = held.indexOf('\r\n\r\n')
  if (end < 0) return null
  const [, length = '0'] = /\r\ncontent-length: *(\d+)/i.exec(held.toString('latin1', 0, end)) ?? []
  return end + 4 + Number(length)
}

export function httpRequest(
  method: string,
  path: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array = Buffer.alloc(0),
): Buffer {
  const lines = Object.entries({ host: 'bench', 'content-length': String(body.length), ...headers })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${head}\r\n`), body])
}
