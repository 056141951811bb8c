import { BlobsError } from '../../store/contract/errors.ts'

/** Characters of a ref. */
const REF = 64
const NUMBER = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?\s*$/i
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

/** A ref, or null for none. Throws `InvalidRequest` in the words that clients of this protocol know. */
export function readRef(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const text = readText(value)
  if (!/^[0-9a-f]*$/i.test(text)) throw bad('must only contain hexadecimal characters')
  if (text.length !== REF) throw bad(`length must be ${REF} characters long`)
  return text
}

/** The bytes of base64 text; none when there is no text. Throws `InvalidRequest`. */
export function readData(value: unknown): Buffer {
  if (value === undefined) return Buffer.alloc(0)
  const text = readText(value)
  if (text.length % 4 !== 0 || !BASE64.test(text)) throw bad('must be a valid base64 string')
  return Buffer.from(text, 'base64')
}

/**
 * A version number from 1 on, or null for one that no blob has: nothing was given, or a number as text, which is of the right form
 * and equals none. Throws `InvalidRequest`.
 */
export function readVersion(value: unknown): number | null {
  if (value === undefined) return null
  const number = typeof value === 'string' && NUMBER.test(value) ? Number(value) : value
  if (typeof number !== 'number') throw bad('must be a number')
  if (Math.abs(number) > Number.MAX_SAFE_INTEGER) {
    throw bad(Number.isFinite(number) || typeof value === 'string' ? 'must be a safe number' : 'cannot be infinity')
  }
  if (!Number.isInteger(number)) throw bad('must be an integer')
  if (number < 1) throw bad('must be greater than or equal to 1')
  return value === number ? number : null
}

/** The properties of the first argument of an event. Throws `InvalidRequest` for what has none. */
export function readObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw bad('must be of type object')
  return value as Readonly<Record<string, unknown>>
}

function readText(value: unknown): string {
  if (typeof value !== 'string') throw bad('must be a string')
  if (value === '') throw bad('is not allowed to be empty')
  return value
}

function bad(what: string): BlobsError {
  return new BlobsError('InvalidRequest', `"value" ${what}`)
}
