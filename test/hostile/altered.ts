import type { ServerResponse } from 'node:http'
import * as fc from 'fast-check'
import type { Chance } from '../simulation/chance.ts'
import { mutated, textOf } from './generators.ts'

type Headers = Record<string, string>

/** Keys, versions, hashes and names that a liar likes. */
const LIES = [
  '../escaped',
  'link/canary',
  '/etc/escaped',
  '.blobs/root.json',
  'f0',
  'own0',
  '0'.repeat(64),
  '0'.repeat(32),
  `${'0'.repeat(32)}:1:${'0'.repeat(32)}`,
  'put',
  'delete',
  'bookmark',
]
const STATUSES = [200, 201, 204, 206, 301, 304, 400, 401, 404, 409, 410, 412, 416, 429, 500, 503]

/** The answer that is given through this response is another one than was meant: in its body, its headers or its status. */
export function alter(response: ServerResponse, chance: Chance): void {
  const [writeHead, end] = [response.writeHead.bind(response), response.end.bind(response)]
  const pieces: Buffer[] = []
  let [status, headers]: [number, Headers] = [200, {}]
  const keep = (piece: unknown): void => {
    if (typeof piece === 'string' || piece instanceof Uint8Array) pieces.push(Buffer.from(piece as Uint8Array))
  }
  Object.assign(response, {
    writeHead: (code: number, given: Headers = {}) => {
      ;[status, headers] = [code, given]
      return response
    },
    write: (piece: unknown) => {
      keep(piece)
      return true
    },
    end: (piece: unknown) => {
      keep(piece)
      const body = Buffer.concat(pieces)
      const how = chance.below(10)
      const told = how < 6 ? alteredBody(body, headers['content-type'] ?? '', chance) : body
      // Most lies are told in the right form.
      const fits = headers['content-length'] === undefined || chance.often(0.5)
      const length = fits ? {} : { 'content-length': String(told.length) }
      const said = how >= 6 && how < 9 ? alteredHeaders({ ...headers, ...length }, chance) : { ...headers, ...length }
      writeHead(how === 9 ? chance.pick(STATUSES) : status, said)
      return end(told)
    },
  })
}

function alteredHeaders(headers: Headers, chance: Chance): Headers {
  const name = chance.pick(Object.keys(headers))
  const { [name]: value = '', ...others } = headers
  if (chance.often(0.3)) return others
  const values = [
    ...LIES.map(encodeURIComponent),
    '',
    '-1',
    '0',
    '1',
    '9007199254740993',
    '%',
    '1e3',
    'true',
    value + value,
  ]
  // A length that is none is no answer; that is for another test.
  return name === 'content-length'
    ? { ...others, [name]: String(chance.below(100_000)) }
    : { ...others, [name]: chance.pick(values) }
}

function alteredBody(body: Buffer, type: string, chance: Chance): Buffer {
  if (type === 'application/json') return alteredJson(body.toString(), chance)
  if (type !== 'application/x-ndjson') return alteredBytes(body, chance)
  const lines = body.toString().split('\n').slice(0, -1)
  const at = chance.below(lines.length)
  const line = lines[at] ?? ''
  const all = [
    () => [...lines.slice(0, at), String(alteredJson(line, chance)), ...lines.slice(at + 1)],
    () => [...lines.slice(0, at), String(alteredJson(line, chance)), ...lines.slice(at + 1)],
    () => lines.toSpliced(at, 1),
    () => [...lines, ...lines],
    () => lines.toReversed(),
    () => lines.slice(0, at),
  ]
  return Buffer.from(
    chance
      .pick(all)()
      .map((one) => `${one}\n`)
      .join(''),
  )
}

function alteredJson(text: string, chance: Chance): Buffer {
  const seed = chance.below(2 ** 31)
  const changed = mutated(JSON.parse(text), LIES).chain((value) => textOf(value ?? null))
  return fc.sample(changed, { seed, numRuns: 1 })[0] ?? Buffer.alloc(0)
}

function alteredBytes(body: Buffer, chance: Chance): Buffer {
  const at = chance.below(body.length + 1)
  if (chance.often(0.3)) return body.subarray(0, at)
  const noise = Buffer.from(Array.from({ length: chance.below(40) }, () => chance.below(256)))
  return Buffer.concat([body.subarray(0, at), noise, body.subarray(at + chance.below(40))])
}
