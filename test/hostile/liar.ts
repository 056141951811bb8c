import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { etagOf } from '../../src/protocol/blob-headers.ts'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { compareKeys } from '../../src/store/contract/keys.ts'
import type { BlobInfo } from '../../src/store/contract/types.ts'
import { framesBody } from '../protocol/frames-body.ts'
import { newId } from '../server/running.ts'
import { sha } from './fortress.ts'

/** What a lying server says to a request; true: it has answered. False: it tells the truth. */
type Lie = (asked: Question, response: ServerResponse) => boolean | void
export interface Question {
  readonly method: string
  /** Below the bucket: `blobs`, `changes`, … */
  readonly route: string
  readonly path: string
  readonly query: URLSearchParams
  readonly body: Buffer
  readonly headers: IncomingMessage['headers']
  readonly socket: IncomingMessage['socket']
}

/** A server with a bucket `team` that holds just what it is told to, and lies when it is told to. */
export interface Liar extends AsyncDisposable {
  readonly origin: string
  readonly epoch: string
  /** Requests so far, as `GET changes`. */
  readonly asked: string[]
  /** Sets a blob as its next version (or that one); gives what it is. */
  set(key: string, bytes: string | Uint8Array, more?: Partial<BlobInfo>): BlobInfo
  remove(key: string, more?: Partial<BlobInfo>): BlobInfo
  /** Forgets everything, its history too. */
  reset(): void
  lie: Lie
  /** What it truly holds at a key. */
  info(key: string): BlobInfo | undefined
  json(response: ServerResponse, value: unknown, status?: number): true
  /** The head of its history. */
  cursor(): string
}

interface Held {
  readonly info: BlobInfo
  readonly bytes: Buffer
}

export async function openLiar(): Promise<Liar> {
  const blobs = new Map<string, Held>()
  const history: BlobInfo[] = []
  const epoch = newId()
  let head = newId()
  const cursor = (): string => `${epoch}:${history.length + 1}:${head}`
  const write = (key: string, bytes: Buffer | null, more: Partial<BlobInfo>): BlobInfo => {
    head = newId()
    const info: BlobInfo = {
      bucket: 'team',
      key,
      version: (blobs.get(key)?.info.version ?? 0) + 1,
      size: bytes?.length ?? 0,
      hash: bytes === null ? '' : sha(bytes),
      contentType: bytes === null ? '' : 'text/plain',
      modified: '2030-01-01T00:00:00.000Z',
      deleted: bytes === null,
      meta: {},
      position: `${epoch}:${history.length + 2}:${head}`,
      entry: head,
      author: '',
      device: '',
      ...more,
    }
    history.push(info)
    blobs.set(key, { info, bytes: bytes ?? Buffer.alloc(0) })
    return info
  }
  const liar = {
    epoch,
    asked: [] as string[],
    lie: (() => false) as Lie,
    info: (key: string) => blobs.get(key)?.info,
    set: (key: string, bytes: string | Uint8Array, more: Partial<BlobInfo> = {}) =>
      write(key, Buffer.from(bytes), more),
    remove: (key: string, more: Partial<BlobInfo> = {}) => write(key, null, more),
    json: (response: ServerResponse, value: unknown, status = 200): true => {
      response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' })
      response.end(JSON.stringify(value))
      return true
    },
    cursor,
    reset: () => {
      blobs.clear()
      history.splice(0)
      liar.lie = () => false
    },
  }
  const tell = (asked: Question, response: ServerResponse): void =>
    truth({ blobs, history, cursor, json: liar.json, write, epoch }, asked, response)
  const server = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    request.on('end', () => {
      const url = new URL(request.url ?? '', 'http://h')
      const [, , , , route = '', ...rest] = url.pathname.split('/')
      const asked: Question = {
        method: request.method ?? '',
        route: rest.length > 0 && route === 'blobs' ? 'blob' : [route, ...rest].join('/'),
        path: rest.map(decodeURIComponent).join('/'),
        query: url.searchParams,
        body: Buffer.concat(pieces),
        headers: request.headers,
        socket: request.socket,
      }
      liar.asked.push(`${asked.method} ${asked.route}`)
      if (liar.lie(asked, response) !== true) tell(asked, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return Object.assign(liar, {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

interface Truth extends Pick<Liar, 'cursor' | 'json' | 'epoch'> {
  readonly blobs: Map<string, Held>
  readonly history: readonly BlobInfo[]
  write(key: string, bytes: Buffer | null, more: Partial<BlobInfo>): BlobInfo
}

function truth(world: Truth, asked: Question, response: ServerResponse): void {
  const { blobs, history, cursor, json } = world
  const { method, route, path, query } = asked
  if (route === '') {
    const info = {
      name: 'team',
      epoch: world.epoch,
      head: cursor(),
      created: '2030-01-01T00:00:00Z',
      blobs: blobs.size,
      bytes: 0,
      options: {},
    }
    json(response, info)
  } else if (route === 'blobs') {
    const [prefix, after] = [query.get('prefix') ?? '', query.get('after') ?? '']
    const items = [...blobs.values()]
      .map(({ info }) => info)
      .filter(({ key, deleted }) => !deleted && key.startsWith(prefix) && (after === '' || compareKeys(key, after) > 0))
      .sort((a, b) => compareKeys(a.key, b.key))
      .slice(0, Number(query.get('limit') ?? 1000))
    const rest = [...blobs.values()].filter(
      ({ info }) => !info.deleted && compareKeys(info.key, items.at(-1)?.key ?? '') > 0,
    )
    const more = items.length > 0 && rest.length > 0
    json(response, {
      items,
      prefixes: [],
      complete: !more,
      ...(more ? { next: items.at(-1)?.key } : {}),
      cursor: cursor(),
    })
  } else if (route === 'changes') {
    const at = Number(query.get('since')?.split(':')[1] ?? 1)
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    for (const info of history.slice(at - 1))
      response.write(`${JSON.stringify({ type: info.deleted ? 'delete' : 'put', ...info })}\n`)
    response.write(`${JSON.stringify({ type: 'bookmark', cursor: cursor() })}\n`)
    if (!query.has('live')) response.end()
  } else if (route === 'fetch') {
    const { wants } = JSON.parse(String(asked.body)) as { wants: { key: string }[] }
    response.writeHead(200, { 'content-type': FRAMES_TYPE })
    response.end(
      framesBody(
        wants.map(({ key }) => blobs.get(key)?.bytes ?? Buffer.alloc(0)).map((bytes) => ({ label: sha(bytes), bytes })),
      ),
    )
  } else if (route === 'blob') {
    tellBlob(world, method, path, response)
  } else if (route === 'chunks/missing') {
    json(response, { missing: [] })
  } else if (route === 'chunks') {
    json(response, { staged: countFrames(asked.body) })
  } else if (route === 'commit') {
    json(response, { outcomes: commit(world, asked) })
  } else {
    json(response, { type: 'x', title: 'x', status: 501, code: 'NotSupported', detail: route }, 501)
  }
}

/** Of chunks: a first frame may tell of the blobs that they are of. */
function countFrames(body: Buffer): number {
  let count = 0
  for (let at = 0; at < body.length - 36; at += 36 + body.readUInt32BE(at + 32))
    if (body.subarray(at, at + 32).some((byte) => byte !== 0xfd)) count++
  return count
}

function tellBlob({ blobs, json }: Truth, method: string, key: string, response: ServerResponse): void {
  const held = blobs.get(key)
  if (!held || held.info.deleted) {
    json(response, { type: 'x', title: 'x', status: 404, code: 'NotFound', detail: 'no', key }, 404)
    return
  }
  const { info, bytes } = held
  response.writeHead(200, {
    etag: etagOf(info),
    'content-length': String(info.size),
    'x-blobs-bucket': info.bucket,
    'x-blobs-key': encodeURIComponent(info.key),
    'x-blobs-version': String(info.version),
    'x-blobs-size': String(info.size),
    'x-blobs-sha256': info.hash,
    'x-blobs-type': encodeURIComponent(info.contentType),
    'x-blobs-modified': info.modified,
    'x-blobs-deleted': 'false',
    'x-blobs-position': info.position,
    'x-blobs-entry': info.entry,
    'x-blobs-author': '',
    'x-blobs-device': '',
  })
  response.end(method === 'HEAD' ? undefined : bytes)
}

function commit({ write, cursor }: Truth, { body }: Question): unknown[] {
  const { entries } = JSON.parse(String(body)) as {
    entries: { id: string; changes: { type: string; key: string; hash?: string; size?: number }[] }[]
  }
  return entries.map(({ id, changes }) => ({
    id,
    ok: true,
    blobs: changes.map(({ type, key, hash = '', size = 0 }) =>
      write(key, type === 'put' ? Buffer.alloc(size) : null, { entry: id, ...(type === 'put' ? { hash } : {}) }),
    ),
    cursor: cursor(),
  }))
}
