import { randomUUID } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import { BlobsError } from '../../store/contract/errors.ts'
import { checkKey } from '../../store/contract/keys.ts'
import { declaredLength, readBody } from '../body.ts'
import { type Call, sendJson } from '../call.ts'
import { keepBlob } from './container-blobs.ts'
import type { Container } from './container-records.ts'
import { fail, type Session, type Sessions } from './container-session.ts'
import { CHUNK, MAX_CHUNK, MAX_SIZE, type Uploads } from './container-uploads.ts'
import type { Ask } from './face.ts'
import { readForm, readWhole } from './multipart.ts'
import { openSpool, type Spool } from './spool.ts'

/** Of a text field in a form. */
const MAX_FIELD = 4096
/** What a form takes beside its files. */
const FORM_EXTRA = 64 * 1024

/** What a request names; anything may have been sent. */
export interface Place {
  readonly name: unknown
  readonly key: unknown
}

interface Room {
  readonly uploads: Uploads
  readonly sessions: Pick<Sessions, 'who'>
}

/** The upload's id is what lets one send a part of it; a token that comes along must be of the same user. */
export async function takePart(ask: Ask, { uploads, sessions }: Room): Promise<FastifyReply> {
  const { context, request, reply, trail } = ask
  const user = await sessions.who(ask)
  const rules = { maxBytes: MAX_CHUNK + FORM_EXTRA, total: context.bounds.bodyTotal }
  const held = Math.min(declaredLength(request) ?? rules.maxBytes, rules.maxBytes)
  const from = user === null ? `parts ${request.socket.remoteAddress ?? ''}` : `user ${user.id}`
  const leave = context.shares.enter(from)
  const release = giving(leave, () => context.budget.take(from, held))
  try {
    const fields = new Map<string, string>()
    let file: Buffer | null = null
    for await (const { name, bytes } of readForm(readBody(request, rules, context), request.headers['content-type'])) {
      if (name === 'file') file = await readWhole(bytes, MAX_CHUNK)
      else fields.set(name, String(await readWhole(bytes, MAX_FIELD)))
    }
    if (file === null) {
      return fail(ask, 400, { status: 'failure', error: 'No file part in the request' }, 'InvalidRequest')
    }
    const upload = uploads.find(fields.get('upload_id') ?? '')
    if (upload === null || (user !== null && user.id !== upload.user)) {
      return fail(ask, 404, { status: 'failure', error: 'Upload not found' }, 'NotFound')
    }
    Object.assign(trail, { bucket: upload.bucket, key: upload.key })
    const number = fields.get('part_number') ?? ''
    await upload.add(/^\d{1,6}$/.test(number) ? Number(number) : -1, file)
    return sendJson(reply, { status: 'success' })
  } finally {
    release()
    leave()
  }
}

/** Gives back what was taken before, when the next cannot be had. */
function giving<T>(leave: () => void, take: () => T): T {
  try {
    return take()
  } catch (error) {
    leave()
    throw error
  }
}

/** The older form: the whole blob as `chunk_0`, `chunk_1` … in one request. */
export async function putWhole(
  ask: Ask,
  session: Session,
  directory: string,
  inside: (place: Place, act: (call: Call, container: Container) => Promise<FastifyReply>) => Promise<FastifyReply>,
): Promise<FastifyReply> {
  const { context, request, reply } = ask
  const rules = { maxBytes: MAX_SIZE + FORM_EXTRA, signal: session.lease.signal }
  const id = randomUUID()
  const release = context.budget.take(session.grant.id, 2 * CHUNK)
  const spool = await openSpool(directory, id).catch((error: unknown) => {
    release()
    throw error
  })
  try {
    const body = readBody(request, rules, context)
    const { fields, chunks } = await readChunks(body, request.headers['content-type'], spool)
    const place = { name: fields.get('container_name'), key: fields.get('blob_name') }
    return await inside(place, async (call, container) => {
      checkKey(call.key)
      await keepBlob(call, id, inOrder(spool, chunks))
      return sendJson(reply, { blob_path: `${container.name}/${call.key}`, status: 'success' })
    })
  } finally {
    await spool.close()
    release()
  }
}

async function* inOrder(spool: Spool, chunks: readonly Chunk[]): AsyncGenerator<Uint8Array> {
  for (const { at, length } of chunks) yield* spool.read(at, length)
}

interface Chunk {
  readonly number: number
  readonly at: number
  readonly length: number
}

/** The fields of a form, and its chunks by their numbers, whose bytes are in the spool. */
async function readChunks(
  body: AsyncIterable<Uint8Array>,
  contentType: string | undefined,
  spool: Spool,
): Promise<{ readonly fields: ReadonlyMap<string, string>; readonly chunks: readonly Chunk[] }> {
  const fields = new Map<string, string>()
  const chunks: Chunk[] = []
  let size = 0
  for await (const { name, bytes } of readForm(body, contentType)) {
    const number = /^chunk_(\d{1,6})$/.exec(name)?.[1]
    if (number === undefined) {
      fields.set(name, String(await readWhole(bytes, MAX_FIELD)))
      continue
    }
    const at = size
    for await (const piece of bytes) {
      await spool.write(piece, size)
      size += piece.length
    }
    chunks.push({ number: Number(number), at, length: size - at })
  }
  const declared = fields.get('blob_size')
  if (declared !== undefined && declared !== String(size)) {
    throw new BlobsError('InvalidRequest', `the chunks have ${size} bytes, and blob_size says ${declared}`)
  }
  chunks.sort((a, b) => a.number - b.number)
  if (chunks.every(({ number }, index) => number === index)) return { fields, chunks }
  throw new BlobsError('InvalidRequest', 'the chunks are not chunk_0, chunk_1 and so on, each once')
}
