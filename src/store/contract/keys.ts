import { BlobsError } from './errors.ts'

const BUCKET = /^[a-z0-9][a-z0-9._-]{1,62}$/
const MAX_KEY_BYTES = 1024
/** Holds what all who serve a place must know of tokens. It is no bucket of anybody's: its name is not a bucket name. */
export const SYSTEM_BUCKET = '_system'
/** Content type of the key `path/` that stands for an empty folder. */
export const FOLDER_TYPE = 'application/x-directory'

/** Throws `InvalidRequest` unless `name` is a bucket name: 2–63 of a–z 0–9 . _ - starting with a letter or digit. */
export function checkBucketName(name: string): string {
  if (BUCKET.test(name)) return name
  throw new BlobsError('InvalidRequest', `${JSON.stringify(name)} is not a bucket name`, {
    hint: 'a bucket name has 2 to 63 of a-z 0-9 . _ - and starts with a letter or a digit',
  })
}

/** The name of a bucket that a place may hold: a bucket name, or `SYSTEM_BUCKET`. Throws as `checkBucketName`. */
export function checkHeldName(name: string): string {
  return name === SYSTEM_BUCKET ? name : checkBucketName(name)
}

/** The reason why `key` is not a key, or null if it is one: UTF-8, NFC, 1–1024 bytes, no NUL, no empty segment; one trailing `/` marks an empty folder. */
export function keyProblem(key: string): string | null {
  if (key === '') return 'it is empty'
  if (!key.isWellFormed()) return 'it is not valid Unicode'
  if (Buffer.byteLength(key) > MAX_KEY_BYTES) return `it is longer than ${MAX_KEY_BYTES} bytes`
  if (key.includes('\0')) return 'it holds a NUL character'
  if (key.normalize('NFC') !== key) return 'it is not in Unicode normal form C'
  const name = key.endsWith('/') ? key.slice(0, -1) : key
  if (name.split('/').includes('')) return 'it has an empty segment'
  return null
}

/** Throws `InvalidKey` unless `key` is one. */
export function checkKey(key: string): string {
  const problem = keyProblem(key)
  if (problem === null) return key
  throw new BlobsError('InvalidKey', `${JSON.stringify(key)} is not a key: ${problem}`, { key })
}

/** Orders keys as every store does: by UTF-8 bytes (UTF-16 order differs above U+FFFF). */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return codeUnitRank(x) - codeUnitRank(y)
  }
  return a.length - b.length
}

// Surrogates stand for code points above every other code unit, so they rank last.
function codeUnitRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit
}
