import { BlobsError } from '../../store/contract/errors.ts'

/** One part of a form. Its bytes are to be read before the next part is asked for; what is left of them is passed over. */
export interface FormPart {
  readonly name: string
  readonly bytes: AsyncIterable<Buffer>
}

/** Parts of one form, and bytes of the head of each. */
const MAX_PARTS = 5000
const MAX_HEAD = 8 * 1024
const HEAD_END = Buffer.from('\r\n\r\n')

/** The parts of a body of `multipart/form-data` as they come; holds no more than one piece of it. Throws `InvalidRequest`. */
export async function* readForm(
  body: AsyncIterable<Uint8Array>,
  contentType: string | undefined,
): AsyncGenerator<FormPart, void, undefined> {
  // As if a line had ended before the first boundary.
  const reader = openReader(body, Buffer.from('\r\n'))
  const boundary = Buffer.from(`\r\n--${boundaryIn(contentType)}`)
  for await (const _preamble of reader.until(boundary)) continue
  for (let count = 0; ; count++) {
    const sign = String(await reader.take(2))
    if (sign === '--') break
    if (sign !== '\r\n' || count >= MAX_PARTS)
      throw malformed('the form has too many parts, or none that are understood')
    const head: Buffer[] = []
    for await (const piece of reader.until(HEAD_END)) {
      head.push(piece)
      if (head.reduce((sum, { length }) => sum + length, 0) > MAX_HEAD)
        throw malformed('a part of the form has a long head')
    }
    const bytes = reader.until(boundary)
    yield { name: nameIn(Buffer.concat(head).toString()), bytes }
    for await (const _rest of bytes) continue
  }
  await reader.rest()
}

/** All of a part, when it has at most so many bytes. Throws `TooLarge`. */
export async function readWhole(bytes: AsyncIterable<Buffer>, most: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of bytes) {
    size += piece.length
    if (size > most) throw new BlobsError('TooLarge', `a part of the form has more than ${most} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}

interface Reader {
  /** What comes before the mark, which is passed over. Throws when it does not come. */
  until(mark: Buffer): AsyncGenerator<Buffer, void, undefined>
  take(length: number): Promise<Buffer>
  /** Passes over the rest, so that the request is read to its end. */
  rest(): Promise<void>
}

function openReader(body: AsyncIterable<Uint8Array>, first: Buffer): Reader {
  const source = body[Symbol.asyncIterator]()
  let held = first
  const more = async (): Promise<void> => {
    const next = await source.next()
    if (next.done) throw malformed('the form is cut short')
    held = Buffer.concat([held, next.value])
  }
  return {
    until: async function* (mark) {
      for (;;) {
        const at = held.indexOf(mark)
        if (at !== -1) {
          const piece = held.subarray(0, at)
          held = held.subarray(at + mark.length)
          if (piece.length > 0) yield piece
          return
        }
        // The mark may have begun.
        const safe = held.length - mark.length + 1
        if (safe > 0) {
          const piece = held.subarray(0, safe)
          held = held.subarray(safe)
          yield piece
        }
        await more()
      }
    },
    take: async (length) => {
      while (held.length < length) await more()
      const taken = held.subarray(0, length)
      held = held.subarray(length)
      return taken
    },
    rest: async () => {
      held = Buffer.alloc(0)
      while ((await source.next()).done !== true) continue
    },
  }
}

function boundaryIn(contentType = ''): string {
  const [, quoted, plain] =
    /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType) ?? []
  const boundary = quoted ?? plain
  if (boundary !== undefined) return boundary
  throw malformed('the body is no form: multipart/form-data with a boundary is needed')
}

function nameIn(head: string): string {
  const line = head.split('\r\n').find((one) => /^content-disposition\s*:/i.test(one)) ?? ''
  const [, quoted, plain] = /;\s*name=(?:"([^"]*)"|([^\s;"]+))/i.exec(line) ?? []
  return quoted ?? plain ?? ''
}

function malformed(message: string): BlobsError {
  return new BlobsError('InvalidRequest', message)
}
