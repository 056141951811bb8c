import { connect, type Socket } from 'node:net'

/** An answer as it came over a connection, whatever it is. */
export interface WireAnswer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  /** Chunks taken together. */
  readonly body: Buffer
  /** Everything, for a search. */
  readonly all: Buffer
}

/** Opens a connection that nothing of HTTP speaks on. */
export async function plug(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url)
  const socket = connect({ port: Number(port), host: hostname, allowHalfOpen: true })
  // A reset is an end like any other.
  socket.on('error', () => undefined)
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

/**
 * Sends the bytes and gives what came until the other side ended the connection; a feed that does not end is cut after a moment. A
 * server that waits for more is told after `quiet` milliseconds that there is no more. Throws when nothing ends within `patience`.
 */
export async function send(url: string, bytes: Uint8Array, quiet = 300, patience = 10_000): Promise<WireAnswer | null> {
  const socket = await plug(url)
  const pieces: Buffer[] = []
  await new Promise<void>((resolve, reject) => {
    const late = setTimeout(() => {
      socket.destroy()
      reject(new Error(`no end of the answer within ${patience} ms: ${String(Buffer.concat(pieces)).slice(0, 300)}`))
    }, patience)
    // Not at once: a server takes one who ends his side for gone.
    let silence = setTimeout(() => socket.end(), quiet)
    let feed: NodeJS.Timeout | undefined
    socket.on('data', (piece: Buffer) => {
      pieces.push(piece)
      clearTimeout(silence)
      silence = setTimeout(() => socket.end(), quiet)
      if (feed === undefined && isFeed(Buffer.concat(pieces))) feed = setTimeout(() => socket.destroy(), 60)
    })
    socket.once('end', () => socket.destroy())
    socket.once('close', () => {
      for (const timer of [late, silence, feed]) clearTimeout(timer)
      resolve()
    })
    socket.write(bytes)
  })
  const all = Buffer.concat(pieces)
  const isHead = Buffer.from(bytes.subarray(0, 5)).toString() === 'HEAD '
  return all.length === 0 ? null : parse(all, isHead)
}

function isFeed(all: Buffer): boolean {
  return /^content-type: (application\/x-ndjson|text\/event-stream)/im.test(all.toString('latin1').slice(0, 2000))
}

/** Throws unless it begins with the head of an answer. */
function parse(all: Buffer, isHead: boolean): WireAnswer {
  const end = all.indexOf('\r\n\r\n')
  const [first = '', ...lines] = all.toString('latin1', 0, end === -1 ? all.length : end).split('\r\n')
  const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]
  if (status === undefined || end === -1) throw new Error(`no answer of HTTP: ${JSON.stringify(first)}`)
  if (status === '100') return parse(all.subarray(end + 4), isHead)
  const headers = new Map<string, string>()
  for (const line of lines) {
    const colon = line.indexOf(':')
    if (colon < 1) throw new Error(`no header: ${JSON.stringify(line)}`)
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  const rest = all.subarray(end + 4)
  const length = isHead ? 0 : Number(headers.get('content-length') ?? rest.length)
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunked(rest) : rest.subarray(0, length)
  return { status: Number(status), headers, body, all }
}

function unchunked(bytes: Buffer): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf('\r\n', at)
    if (end === -1) break
    const size = Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (!(size > 0)) break
    pieces.push(bytes.subarray(end + 2, end + 2 + size))
    at = end + 2 + size + 2
  }
  return Buffer.concat(pieces)
}

/** The bytes of a request, exactly as given. */
export function requestBytes(
  line: string,
  headers: readonly (readonly [string, string])[],
  body: Uint8Array = new Uint8Array(),
): Buffer {
  const head = [line, ...headers.map(([name, value]) => `${name}: ${value}`)].join('\r\n')
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), body])
}
