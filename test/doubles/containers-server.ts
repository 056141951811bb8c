import { createHash, createHmac, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

/**
 * The front end of the blob store with containers, as it was observed, in memory: its routes, its answers and its bugs. Names are not unique
 * and the first row wins, also a deleted one; a delete hits that name in every container of every user; chunks come sorted as texts; an
 * empty list is also what a failing database looks like.
 */
export interface ContainersServer {
  readonly url: string
  readonly users: readonly User[]
  readonly containers: readonly Container[]
  readonly blobs: readonly BlobRow[]
  /** Bytes by chunk, `BLOBID_PART`. */
  readonly chunks: Map<string, Buffer>
  /** `METHOD /path` of each request so far. */
  readonly requests: string[]
  /** Called before a request is answered, with its `METHOD /path`; what it gives is the status of an answer in HTML instead. */
  trouble: (request: string) => number | 'hang' | null
  /** Chunks are acknowledged and not stored. */
  losesChunks: boolean
  /** Rows of a table that only the operator fills. */
  readonly dataNodes: string[]
  /** So many more times the database fails: then a list is empty, with status 200. */
  databaseFails: number
  signUp(username: string, password: string): void
  /** The tokens that there are have had their half hour. */
  expireTokens(): void
  /** As the clients that there are do it. */
  storeAs(username: string, container: string, name: string, bytes: Buffer, options?: { readonly upTo?: number }): void
  stop(): Promise<void>
}
interface User {
  readonly id: number
  readonly username: string
  readonly email: string
  readonly password: string
}
interface Container {
  readonly id: number
  readonly name: string
  readonly user: number
  status: 'active' | 'deleted'
}
interface BlobRow {
  readonly id: string
  readonly name: string
  readonly container: number
  readonly user: number
  readonly size: number
  readonly parts: number
  status: 'uploading' | 'uploaded' | 'deleted'
}

const SECRET = 'secret'
const MIB = 1024 * 1024
const HALF_AN_HOUR = 1_800_000

/** With a certificate it is reached by TLS, as behind a proxy. */
export async function startContainersServer(tls?: {
  readonly cert: string
  readonly key: string
}): Promise<ContainersServer> {
  const state: State = {
    users: [],
    containers: [],
    blobs: [],
    chunks: new Map(),
    requests: [],
    expired: new Set(),
    issued: [],
    trouble: () => null,
    losesChunks: false,
    dataNodes: ['data_node1:9001', 'data_node2:9002'],
    databaseFails: 0,
    loggedOut: new Set(),
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void => {
    void answer(state, request, response)
  }
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const own = {
    url: `http${tls === undefined ? '' : 's'}://127.0.0.1:${port}`,
    signUp: (username: string, password: string) => {
      state.users.push({
        id: state.users.length + 1,
        username,
        email: `${username}@example.org`,
        password: hashOf(password),
      })
    },
    expireTokens: () => {
      for (const token of state.issued) state.expired.add(token)
    },
    storeAs: (username: string, container: string, name: string, bytes: Buffer, { upTo = Infinity } = {}) => {
      const user = state.users.find((one) => one.username === username)?.id ?? 0
      const box = state.containers.find((one) => one.name === container && one.user === user)
      if (box === undefined) throw new Error(`${username} has no container ${container}`)
      const row = addRow(state, { name, container: box.id, user, size: bytes.length, chunkSize: MIB })
      for (let part = 0; part < Math.min(row.parts, upTo); part++) {
        state.chunks.set(`${row.id}_${part}`, bytes.subarray(part * MIB, (part + 1) * MIB))
      }
      if (upTo >= row.parts) row.status = 'uploaded'
    },
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return Object.assign(state, own)
}

interface State extends Omit<
  ContainersServer,
  'url' | 'signUp' | 'expireTokens' | 'storeAs' | 'stop' | 'users' | 'containers' | 'blobs'
> {
  readonly users: User[]
  readonly containers: Container[]
  readonly blobs: BlobRow[]
  readonly loggedOut: Set<string>
  readonly issued: string[]
  readonly expired: Set<string>
}
interface Call {
  readonly state: State
  readonly query: URLSearchParams
  readonly json: Readonly<Record<string, unknown>>
  readonly form: ReadonlyMap<string, Buffer>
  readonly user: number
  readonly token: string
}
/** `undefined`: Flask's page for an exception. */
type Result = readonly [status: number, body: unknown] | undefined

const OPEN_ROUTES: Readonly<Record<string, (call: Call) => Result>> = {
  'POST /signup': ({ state, json }) => {
    for (const field of ['username', 'email', 'password']) {
      if (!(field in json)) return [500, { error: `'${field}'` }]
    }
    const { username, email, password } = json as Record<string, string>
    if (state.users.some((user) => user.username === username || user.email === email)) {
      return [500, { error: 'Error writing to database' }]
    }
    const id = state.users.length + 1
    state.users.push({ id, username: username ?? '', email: email ?? '', password: hashOf(password ?? '') })
    return [201, { status: 'success' }]
  },
  'POST /login': ({ state, json }) => {
    for (const field of ['username', 'email', 'password']) {
      if (!(field in json)) return [500, { error: `'${field}'` }]
    }
    const { username, email, password } = json as Record<string, string>
    const user = state.users.find(
      (one) => (one.username === username || one.email === email) && one.password === hashOf(password ?? ''),
    )
    if (user === undefined) return [401, { status: 'failure', message: 'Invalid username or password' }]
    const token = makeToken(user.id, Date.now() + HALF_AN_HOUR + state.issued.length)
    state.issued.push(token)
    return [200, { status: 'success', token }]
  },
  'POST /upload-part': ({ state, form }) => {
    const file = form.get('file')
    if (file === undefined) return [400, { status: 'failure', error: 'No file part in the request' }]
    const node = form.get('data_node')?.toString() ?? ''
    if (!state.dataNodes.includes(node)) return [500, { status: 'failure', error: `${node} does not answer` }]
    if (!state.losesChunks) state.chunks.set(`${form.get('upload_id')}_${form.get('part_number')}`, file)
    return [200, { status: 'success' }]
  },
}

const ROUTES: Readonly<Record<string, (call: Call) => Result>> = {
  'POST /logout': ({ state, token }) => {
    state.loggedOut.add(token)
    return [200, { status: 'success' }]
  },
  'GET /is-logged-in': () => [200, { status: 'success' }],
  'POST /create_container': ({ state, json, user }) => {
    const name = json['container_name']
    const taken = state.containers.some((one) => one.name === name && one.user === user)
    if (typeof name !== 'string' || name.length > 50 || taken) return [500, { error: 'An error occurred' }]
    state.containers.push({ id: state.containers.length + 1, name, user, status: 'active' })
    return [201, { status: 'success' }]
  },
  'GET /list_containers': ({ state, user }) => {
    const found = state.containers.filter((one) => one.user === user && one.status !== 'deleted')
    if (isFailing(state)) return [200, { containers: [] }]
    return [200, { containers: found.map(({ id, name, status }) => ({ id, name, user_id: user, status })) }]
  },
  'DELETE /delete_container': ({ state, query }) => {
    const name = query.get('container_name')
    if (!name) return [400, { error: 'container_name is required' }]
    const found = state.containers.filter((one) => one.name === name)
    if (found.length > 1) return [500, { error: 'Error writing to database' }]
    const [box] = found
    if (box !== undefined) box.status = 'deleted'
    return [200, { status: 'success', chunks: dropRows(state, (row) => row.container === box?.id) }]
  },
  'POST /initiate-upload': ({ state, json, user }) => {
    const box = state.containers.find((one) => one.name === json['container_name'] && one.user === user)
    if (box === undefined) return [404, { error: 'Container not found' }]
    const [name, size, chunkSize] = [json['file_name'], Number(json['file_size']), Number(json['chunk_size'] ?? MIB)]
    if (typeof name !== 'string' || [...name].length > 255 || size >= 2 ** 31) {
      return [500, { error: 'Error writing to database' }]
    }
    if (state.dataNodes.length === 0) return [500, { error: 'No data nodes available' }]
    const row = addRow(state, { name, container: box.id, user, size, chunkSize })
    const parts = Array.from({ length: row.parts }, (_, part) => [
      String(part),
      { data_node: state.dataNodes[part % state.dataNodes.length], replicas: [] },
    ])
    return [200, { blob_id: row.id, chunk_info: new Map(parts as [string, unknown][]) }]
  },
  'POST /complete-upload': ({ state, json }) => {
    const row = state.blobs.find(({ id }) => id === json['blob_id'])
    if (row !== undefined) row.status = 'uploaded'
    return [200, { status: 'success' }]
  },
  'GET /list_blobs': ({ state, query, user }) => {
    const name = query.get('container')
    const box = state.containers.find((one) => one.name === name && one.user === user && one.status !== 'deleted')
    const rows = state.blobs.filter((row) => row.container === box?.id && row.user === user && row.status !== 'deleted')
    const blobs = rows.map((row) => ({
      blob_id: row.id,
      blob_name: row.name,
      blob_size: row.size,
      container_name: name,
    }))
    return [200, { blobs: isFailing(state) ? [] : blobs }]
  },
  'GET /get_data': (call) => {
    const chunks = chunksOf(call)
    if (chunks === null) return [404, { error: 'Blob not found' }]
    if (chunks.some((chunk) => chunk === undefined)) return undefined
    const parts = chunks.map((chunk, part) => [
      String(part),
      { blob_data: chunk?.toString('base64'), status: 'success' },
    ])
    return [200, new Map(parts as [string, unknown][])]
  },
  'GET /download': (call) => {
    const chunks = chunksOf(call)
    if (chunks === null) return [404, { error: 'Blob not found' }]
    if (chunks.some((chunk) => chunk === undefined)) return undefined
    return [200, chunks.map((chunk) => chunk?.toString('base64')).join('')]
  },
  'DELETE /delete-blob': ({ state, query }) => {
    const name = query.get('blob')
    // Its SQL compares a column with itself: every container of every user.
    return [200, { status: 'success', chunks: dropRows(state, (row) => row.name === name) }]
  },
}

function isFailing(state: State): boolean {
  return state.databaseFails-- > 0
}

function addRow(
  state: State,
  { chunkSize, ...row }: Omit<BlobRow, 'id' | 'parts' | 'status'> & { readonly chunkSize: number },
): BlobRow {
  const made: BlobRow = { ...row, id: randomUUID(), parts: Math.ceil(row.size / chunkSize), status: 'uploading' }
  state.blobs.push(made)
  return made
}

/** Null if there is no row; undefined for a chunk that a data node does not have. */
function chunksOf({ state, query, user }: Call): (Buffer | undefined)[] | null {
  const boxes = state.containers.filter((one) => one.name === query.get('container') && one.user === user)
  const ids = new Set(boxes.map(({ id }) => id))
  const row = state.blobs.find((one) => ids.has(one.container) && one.name === query.get('blob'))
  if (row === undefined) return null
  return Array.from({ length: row.parts }, (_, part) => state.chunks.get(`${row.id}_${part}`))
}

function dropRows(state: State, chosen: (row: BlobRow) => boolean): readonly unknown[] {
  return state.blobs.filter(chosen).flatMap((row) => {
    row.status = 'deleted'
    return Array.from({ length: row.parts }, (_, part) => {
      state.chunks.delete(`${row.id}_${part}`)
      return {
        blob_id: row.id,
        chunk_id: part,
        primary_node: state.dataNodes[part % state.dataNodes.length],
        replicas: [],
      }
    })
  })
}

async function answer(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://server')
  const name = `${request.method} ${url.pathname}`
  state.requests.push(name)
  const pieces: Buffer[] = []
  try {
    for await (const piece of request) pieces.push(piece as Buffer)
  } catch {
    return
  }
  const trouble = state.trouble(name)
  if (trouble === 'hang') return
  if (trouble !== null) return sendHtml(response, trouble)
  const body = Buffer.concat(pieces)
  const type = request.headers['content-type'] ?? ''
  const authorization = request.headers.authorization
  const call: Call = {
    state,
    query: url.searchParams,
    json: type.startsWith('application/json') ? (JSON.parse(body.toString()) as Record<string, unknown>) : {},
    form: formOf(body, type),
    user: 0,
    token: authorization?.split(' ')[1] ?? '',
  }
  const open = OPEN_ROUTES[name]
  if (open !== undefined) return send(response, open(call))
  const route = ROUTES[name]
  if (route === undefined) return sendHtml(response, 404)
  const user = userOf(state, authorization)
  if (typeof user === 'string') return send(response, [401, { error: user }])
  return send(response, route({ ...call, user }))
}

/** The user's number, or why there is none. */
function userOf(state: State, authorization: string | undefined): number | string {
  if (authorization === undefined) return 'Token is missing'
  const token = authorization.split(' ')[1]
  if (token === undefined) return 'Token is invalid'
  if (state.loggedOut.has(token)) return "You're logged out."
  const [head = '', payload = '', signature = ''] = token.split('.')
  if (signature !== sign(`${head}.${payload}`)) return 'Invalid token'
  const { user_id: user, exp } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, number>
  if ((exp ?? 0) * 1000 <= Date.now() || state.expired.has(token)) return 'Token has expired'
  return user ?? 'Token is invalid'
}

function makeToken(user: number, until: number): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ user_id: user, exp: until / 1000 })}`
  return `${text}.${sign(text)}`
}

function sign(text: string): string {
  return createHmac('sha256', SECRET).update(text).digest('base64url')
}

function hashOf(password: string): string {
  return createHash('sha256').update(password).digest('hex')
}

function formOf(body: Buffer, type: string): Map<string, Buffer> {
  const boundary = /^multipart\/form-data; boundary=(.+)$/.exec(type)?.[1]
  const form = new Map<string, Buffer>()
  if (boundary === undefined) return form
  const mark = Buffer.from(`--${boundary}`)
  for (let at = body.indexOf(mark); ;) {
    const start = at + mark.length + 2
    const head = body.indexOf('\r\n\r\n', start)
    const end = body.indexOf(mark, start)
    if (head < 0 || end < 0) return form
    const name = /name="([^"]*)"/.exec(body.toString('latin1', start, head))?.[1]
    form.set(name ?? '', body.subarray(head + 4, end - 2))
    at = end
  }
}

function send(response: ServerResponse, result: Result): void {
  if (result === undefined) return sendHtml(response, 500)
  const [status, body] = result
  const text = typeof body === 'string' ? body : `${jsonify(body)}\n`
  const type = typeof body === 'string' ? 'application/octet-stream' : 'application/json'
  response.writeHead(status, { 'content-type': type, 'access-control-allow-origin': '*' }).end(text)
}

function sendHtml(response: ServerResponse, status: number): void {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' })
  response.end('<!doctype html>\n<html lang=en>\n<title>500 Internal Server Error</title>\n')
}

/** JSON with sorted keys, also those that are numbers: as texts. */
function jsonify(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(jsonify).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  const entries = value instanceof Map ? [...(value as Map<string, unknown>)] : Object.entries(value)
  const fields = entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, one]) => `${JSON.stringify(key)}: ${jsonify(one)}`)
  return `{${fields.join(', ')}}`
}
