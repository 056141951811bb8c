import { parseJson } from '../../protocol/json.ts'
import { NDJSON_TYPE } from '../../protocol/routes.ts'
import { type Check, Malformed } from '../../protocol/schema.ts'
import { discard, failureOf, readText, strange, unreachable } from './failures.ts'
import type { Answer, Outgoing, Transport } from './transport.ts'

/** Largest JSON answer that is read: a page ends far below, and so do the outcomes of what is sent at once. */
const JSON_BYTES = 64 * 1024 * 1024
/** Longest line of a feed. */
const LINE_BYTES = 1024 * 1024

/** An answer of one of these statuses; any other is thrown as what it tells of. */
export async function ask(transport: Transport, outgoing: Outgoing, ...wanted: readonly number[]): Promise<Answer> {
  const answer = await transport.send(outgoing)
  if (wanted.includes(answer.status)) return answer
  throw await failureOf(answer, transport.origin)
}

/** A JSON answer, checked. Throws `Unavailable` for one that is not what the protocol says. */
export async function askJson<T>(transport: Transport, outgoing: Outgoing, check: Check<T>): Promise<T> {
  const answer = await ask(transport, outgoing, 200, 201)
  if (!answer.headers['content-type']?.startsWith('application/json')) {
    await discard(answer)
    throw strange(answer, transport.origin, 'no JSON')
  }
  const text = await readText(answer, JSON_BYTES, transport.origin)
  return understood(answer, transport.origin, () => parseJson(text, check))
}

export function jsonBody(value: unknown): NonNullable<Outgoing['body']> {
  return jsonText(JSON.stringify(value))
}

/** As `jsonBody`, of what is JSON already. */
export function jsonText(text: string): NonNullable<Outgoing['body']> {
  return { type: 'application/json', pieces: [Buffer.from(text)] }
}

/** Throws for an answer that is of another type than it must be. */
export async function ofType(answer: Answer, type: string, transport: Transport): Promise<Answer> {
  if (answer.headers['content-type']?.startsWith(type)) return answer
  await discard(answer)
  throw strange(answer, transport.origin, `no ${type}`)
}

/** The lines of an NDJSON answer; empty ones, which say only that the connection lives, are left out. */
export async function* lines(answer: Answer, transport: Transport): AsyncGenerator<string, void, undefined> {
  await ofType(answer, NDJSON_TYPE, transport)
  const decoder = new TextDecoder()
  let rest = ''
  for await (const piece of answer.pieces()) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split('\n')
    rest = parts.pop() ?? ''
    if (rest.length > LINE_BYTES) throw strange(answer, transport.origin, 'a line without an end')
    for (const part of parts) if (part !== '') yield part
  }
  if (rest !== '') throw unreachable(new Error('the answer ends in the middle of a line'), transport.origin)
}

/** Runs what checks an answer; what the answer lacks makes it a strange one. */
export function understood<T>(answer: Answer, origin: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof Malformed) throw strange(answer, origin, error.message)
    throw error
  }
}
