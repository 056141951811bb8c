import { hasher } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { readAnswer, type Http } from './http.ts'
import { nameHash, parseName } from './names.ts'
import { inOrder, type Waiting } from './order.ts'
import { readParts } from './pieces.ts'
import { tagOf, type Row } from './rows.ts'
import { fieldsOf, unexpected, type Session } from './session.ts'

/** Bytes of a chunk, as the server counts them. */
const CHUNK = 1024 * 1024

export interface Server {
  readonly http: Http
  readonly session: Session
  readonly waiting: Waiting
}
export interface Upload {
  readonly container: string
  readonly name: string
  readonly size: number
  readonly bytes: AsyncIterable<Uint8Array>
}

/** Stores a blob under a name that was never used; gives it as the server will list it. It may be listed, half, before it is stored. */
export async function upload(server: Server, { container, name, size, bytes }: Upload): Promise<Row> {
  const { session } = server
  const wanted = { container_name: container, file_name: name, file_size: size, chunk_size: CHUNK }
  const begun = await session.ask('POST', '/initiate-upload', wanted)
  const { blob_id: id, chunk_info: places } = fieldsOf(begun.value)
  if (begun.status === 404)
    throw new BlobsError('NotFound', `there is no container ${container}`, { bucket: container })
  if (begun.status !== 200 || typeof id !== 'string') throw unexpected('begin an upload', begun.status, begun.value)
  let index = 0
  let sent = 0
  for await (const chunk of chunksOf(bytes)) {
    const { data_node: node } = fieldsOf(fieldsOf(places)[String(index)])
    if (typeof node !== 'string') throw unexpected('say where a chunk goes', 500, null)
    await sendChunk(server, { id, index, node, chunk })
    index += 1
    sent += chunk.length
  }
  if (sent !== size) throw new BlobsError('Corrupt', `${name} has ${sent} bytes, and not ${size}`)
  const ended = await session.ask('POST', '/complete-upload', { blob_id: id })
  if (ended.status !== 200) throw unexpected('end an upload', ended.status, ended.value)
  return { id, name, size }
}

async function sendChunk(
  { http }: Server,
  { id, index, node, chunk }: { id: string; index: number; node: string; chunk: Uint8Array },
): Promise<void> {
  const boundary = `blobs-${id}-${index}`
  const fields = Object.entries({ upload_id: id, part_number: String(index), data_node: node })
  const head = fields
    .map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`)
    .join('')
  const file = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="chunk"\r\nContent-Type: application/octet-stream\r\n\r\n`
  const answer = await http.send({
    method: 'POST',
    path: '/upload-part',
    body: {
      type: `multipart/form-data; boundary=${boundary}`,
      pieces: [Buffer.from(head + file), chunk, Buffer.from(`\r\n--${boundary}--\r\n`)],
    },
  })
  await readAnswer(answer)
  if (answer.status !== 200) throw unexpected('take a chunk', answer.status, null)
}

/** Pieces of exactly the size of a chunk; the last may be smaller. */
async function* chunksOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  let chunk = Buffer.alloc(CHUNK)
  let filled = 0
  for await (const piece of bytes) {
    for (let at = 0; at < piece.length;) {
      const some = piece.subarray(at, at + CHUNK - filled)
      chunk.set(some, filled)
      at += some.length
      filled += some.length
      if (filled < CHUNK) continue
      yield chunk
      // Of the last one something may still be on its way to the network.
      chunk = Buffer.alloc(CHUNK)
      filled = 0
    }
  }
  if (filled > 0) yield chunk.subarray(0, filled)
}

/**
 * The bytes that the server has under a name. Throws `NotFound`, or `Corrupt` if they are not whole: an upload under way, chunks that were
 * lost, other bytes than those of the name.
 */
export async function* download(
  { session, waiting }: Server,
  container: string,
  rows: readonly Row[],
): AsyncGenerator<Uint8Array, void> {
  const name = rows[0]?.name ?? ''
  const query = new URLSearchParams({ container, blob: name })
  const answer = await session.send({ method: 'GET', path: `/get_data?${query}` })
  if (answer.status !== 200) {
    await readAnswer(answer)
    // The server fails so for a chunk that is missing, too.
    if (answer.status === 404 || answer.status === 500) {
      throw new BlobsError('NotFound', `the server cannot read ${name} (${answer.status})`)
    }
    throw unexpected(`give ${name}`, answer.status, null)
  }
  const whole = hasher()
  let size = 0
  try {
    for await (const bytes of inOrder(readParts(answer.pieces), waiting)) {
      whole.update(bytes)
      size += bytes.length
      yield bytes
    }
  } finally {
    answer.drop()
  }
  const promised = parseName(name)?.hash ?? null
  const isWhole = rows.some((row) => row.size === size)
  if (isWhole && (promised === null || nameHash(whole.digest('hex')) === promised)) return
  throw new BlobsError('Corrupt', `what the server has of ${name} (${tagOf(rows)}) is not whole`)
}
