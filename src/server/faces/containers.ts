import type { FastifyReply } from 'fastify'
import { parseJson } from '../../protocol/json.ts'
import { record } from '../../protocol/schema.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { checkKey } from '../../store/contract/keys.ts'
import { readBody, readText } from '../body.ts'
import { type Call, sendJson } from '../call.ts'
import { deleteBlob, emptyBucket, keepBlob, NODE, sendBlobs, sendChunks, sendDownload } from './container-blobs.ts'
import { type Place, putWhole, takePart } from './container-forms.ts'
import { type Container, type Containers, openContainers } from './container-records.ts'
import { type Fields, fail, openSessions, type Session, type Sessions } from './container-session.ts'
import { CHUNK, MAX_CHUNK, MAX_CHUNKS, MAX_SIZE, openUploads, type Upload, type Uploads } from './container-uploads.ts'
import { openUsers } from './container-users.ts'
import { type Ask, callOf, type Face, type FaceOptions, type FaceRoute } from './face.ts'
import type { FaceContext } from './faces.ts'

const MAX_JSON = 64 * 1024
const JSON_BOUNDS = { values: 1000, items: 1000, names: 1000, depth: 16 }

/** What all requests of the face share. */
interface Room {
  readonly containers: Containers
  readonly sessions: Sessions
  readonly uploads: Uploads
  /** Directory for uploads. */
  readonly spool: string
}
type Act = (room: Room, ask: Ask, session: Session) => Promise<FastifyReply>

/** What needs a good token. */
const ACTS: readonly (readonly [method: FaceRoute['method'], url: string, action: string, act: Act])[] = [
  ['POST', '/logout', 'logout', ({ sessions }, ask, session) => sessions.logOut(ask, session)],
  ['GET', '/is-logged-in', 'user.self', async (_room, { reply }) => sendJson(reply, { status: 'success' })],
  ['POST', '/create_container', 'bucket.create', createContainer],
  ['GET', '/list_containers', 'bucket.list', listContainers],
  ['DELETE', '/delete_container', 'bucket.remove', deleteContainer],
  ['POST', '/initiate-upload', 'upload.begin', beginUpload],
  ['POST', '/complete-upload', 'put', completeUpload],
  ['POST', '/put_data', 'put', putData],
  ['GET', '/list_blobs', 'list', listBlobs],
  ['GET', '/get_data', 'get', (room, ask, session) => inside(room, ask, session, placeIn(ask), sendChunks, noBlob)],
  ['GET', '/download', 'get', (room, ask, session) => inside(room, ask, session, placeIn(ask), sendDownload, noBlob)],
  ['DELETE', '/delete-blob', 'delete', (room, ask, session) => remove(room, ask, session, placeIn(ask))],
  ['DELETE', '/delete_data', 'delete', deleteData],
]

/** Users who have containers of blobs (seed 001): each is a bucket of its own. */
export function openContainersFace(
  { signUp, spool }: FaceOptions & { readonly name: 'containers' },
  { context, own }: FaceContext,
): Face {
  if (own === null) throw new BlobsError('NotSupported', 'there can be no users here')
  const users = openUsers(own.system, context.newId, context.now)
  const containers = openContainers(own.system, context.buckets, context.newId)
  const sessions = openSessions({ context, own, users, signUp })
  const uploads = openUploads(spool, () => context.clock.elapsed())
  const room: Room = { containers, sessions, uploads, spool }
  const open = (url: string, action: string, handle: FaceRoute['handle']): FaceRoute => ({
    method: 'POST',
    url,
    action,
    handle,
  })
  const routes = [
    open('/signup', 'signup', async (ask) => sessions.signUp(ask, await readFields(ask))),
    open('/login', 'login', async (ask) => sessions.logIn(ask, await readFields(ask))),
    open('/upload-part', 'upload.part', (ask) => takePart(ask, room)),
    ...ACTS.map(([method, url, action, act]) => ({
      method,
      url,
      action,
      handle: (ask: Ask) => sessions.enter(ask, (session) => act(room, ask, session)),
    })),
  ]
  return {
    name: 'containers',
    routes: [...routes, ...routes.map(({ url }) => preflight(url))],
    // Any origin may ask: what lets one in is a token, which no browser adds by itself.
    enter: ({ reply }) => void reply.header('access-control-allow-origin', '*'),
    tell: (reply, { status, detail }) => sendJson(reply, { error: detail }, status),
    close: () => uploads.close(),
  }
}

/** Acts in a container of the user's own. */
async function inside(
  { containers }: Room,
  ask: Ask,
  { user, grant, lease }: Session,
  { name, key }: Place,
  act: (call: Call, container: Container) => Promise<FastifyReply>,
  absent: (ask: Ask) => FastifyReply = noContainer,
): Promise<FastifyReply> {
  const container = typeof name === 'string' ? await containers.find(user.id, name) : null
  if (container === null) return absent(ask)
  const { bucket } = container
  const call = callOf(ask, { grant: { ...grant, bucket }, lease, bucket, key: typeof key === 'string' ? key : '' })
  return act(call, container)
}

async function createContainer({ containers }: Room, ask: Ask, { user }: Session): Promise<FastifyReply> {
  const { container_name: name } = await readFields(ask)
  const made = typeof name === 'string' ? await containers.create(user.id, name) : null
  if (made === null) return fail(ask, 500, { error: 'An error occurred' }, 'AlreadyExists')
  ask.trail.bucket = made.bucket
  return sendJson(ask.reply, { status: 'success' }, 201)
}

async function listContainers({ containers }: Room, { reply }: Ask, { user }: Session): Promise<FastifyReply> {
  const all = await containers.list(user.id)
  return sendJson(reply, { containers: all.map(({ id, name, status }) => ({ id, name, status, user_id: user.id })) })
}

async function deleteContainer(room: Room, ask: Ask, session: Session): Promise<FastifyReply> {
  const name = one(ask, 'container_name') ?? (await readFields(ask))['container_name']
  if (typeof name !== 'string' || name === '') {
    return fail(ask, 400, { error: 'container_name is required' }, 'InvalidRequest')
  }
  return inside(room, ask, session, { name, key: '' }, async (call, container) => {
    const chunks = await emptyBucket(call)
    await room.containers.remove(container)
    await Promise.all(room.uploads.of(container.user, container.bucket).map((upload) => room.uploads.drop(upload)))
    return sendJson(ask.reply, { chunks, status: 'success' })
  })
}

async function beginUpload(room: Room, ask: Ask, session: Session): Promise<FastifyReply> {
  const fields = await readFields(ask)
  const place = { name: fields['container_name'], key: fields['file_name'] }
  return inside(room, ask, session, place, async ({ bucket, key }, { name: container, user }) => {
    const plan = { container, user, bucket, key: checkKey(key), ...sizesIn(fields) }
    return sendJson(ask.reply, begun(room.uploads.begin(plan)))
  })
}

async function putData(room: Room, ask: Ask, session: Session): Promise<FastifyReply> {
  return putWhole(ask, session, room.spool, (place, act) => inside(room, ask, session, place, act))
}

async function listBlobs(room: Room, ask: Ask, session: Session): Promise<FastifyReply> {
  const place = { name: one(ask, 'container'), key: '' }
  return inside(
    room,
    ask,
    session,
    place,
    (call, { name, user, bucket }) => sendBlobs(call, name, room.uploads.of(user, bucket)),
    ({ reply }) => sendJson(reply, { blobs: [] }),
  )
}

async function remove(room: Room, ask: Ask, session: Session, place: Place): Promise<FastifyReply> {
  return inside(
    room,
    ask,
    session,
    place,
    async (call) => sendJson(ask.reply, { chunks: await deleteBlob(call), status: 'success' }),
    ({ reply }) => sendJson(reply, { chunks: [], status: 'success' }),
  )
}

async function deleteData(room: Room, ask: Ask, session: Session): Promise<FastifyReply> {
  if (ask.query.length > 0) return remove(room, ask, session, placeIn(ask))
  const { container_name: name, blob_name: key } = await readFields(ask)
  return remove(room, ask, session, { name, key })
}

async function completeUpload(room: Room, ask: Ask, session: Session): Promise<FastifyReply> {
  const { uploads } = room
  const { blob_id: id } = await readFields(ask)
  const success = (): FastifyReply => sendJson(ask.reply, { status: 'success' })
  if (typeof id !== 'string') throw new BlobsError('InvalidRequest', 'blob_id is required')
  const upload = uploads.find(id)
  if (upload === null && uploads.isDone(id, session.user.id)) return success()
  if (upload === null || upload.user !== session.user.id) {
    // The original says that it succeeded, whatever is asked for; then nobody would know that a restart ended it.
    return fail(ask, 404, { error: 'Upload not found' }, 'NotFound')
  }
  return inside(room, ask, session, { name: upload.container, key: upload.key }, async (call) => {
    await uploads.complete(upload, () => keepBlob(call, upload.id, upload.read()))
    return success()
  })
}

/** What a browser asks before it sends a token along. */
function preflight(url: string): FaceRoute {
  return {
    method: 'OPTIONS',
    url,
    action: 'preflight',
    handle: async ({ reply }) =>
      reply
        .headers({
          'access-control-allow-methods': 'GET, POST, DELETE',
          'access-control-allow-headers': 'authorization, content-type',
          'access-control-max-age': '600',
        })
        .code(204)
        .send(),
  }
}

async function readFields({ request, context }: Ask): Promise<Fields> {
  const rules = { maxBytes: MAX_JSON, total: context.bounds.headers }
  const text = await readText(readBody(request, rules, context))
  return parseJson(text || '{}', record, JSON_BOUNDS)
}

function placeIn(ask: Ask): Place {
  return { name: one(ask, 'container'), key: one(ask, 'blob') }
}

function one({ query }: Ask, name: string): string | undefined {
  return query.find(([known]) => known === name)?.[1]
}

function noContainer(ask: Ask): FastifyReply {
  return fail(ask, 404, { error: 'Container not found' }, 'NotFound')
}

function noBlob(ask: Ask): FastifyReply {
  return fail(ask, 404, { error: 'Blob not found' }, 'NotFound')
}

function sizesIn({ file_size: size, chunk_size: chunk = CHUNK }: Fields): Pick<Upload, 'size' | 'chunk'> {
  if (!isCount(size) || size > MAX_SIZE)
    throw new BlobsError('InvalidRequest', `file_size is not from 0 to ${MAX_SIZE}`)
  if (!isCount(chunk) || chunk < 1 || chunk > MAX_CHUNK || size / chunk > MAX_CHUNKS) {
    throw new BlobsError('InvalidRequest', `chunk_size is over ${MAX_CHUNK}, or too small for the file`)
  }
  return { size, chunk }
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function begun({ id, size, chunk }: Upload): object {
  const numbers = Array.from({ length: Math.ceil(size / chunk) }, (_, number) => number)
  const chunk_info = Object.fromEntries(numbers.map((number) => [String(number), { data_node: NODE, replicas: [] }]))
  return { blob_id: id, chunk_info }
}
