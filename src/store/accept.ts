import { isBody } from '../content/body.ts'
import { EMPTY_HASH, isHash } from '../content/hash.ts'
import { BlobsError } from './contract/errors.ts'
import { checkKey } from './contract/keys.ts'
import type { BucketOptions, ChangeInput, CopyOf, EntryInput, Expectation, Meta, PutChange } from './contract/types.ts'
import { isEntryId, LATEST_TIME } from './entry.ts'

const MAX_CHANGES = 100_000
const MAX_META_BYTES = 8 * 1024
const MAX_NAME_BYTES = 256
const TYPE = /^[\x20-\x7e]{1,255}$/
const MTIME = /^-?[0-9]{1,12}(\.[0-9]{1,9})?$/
const MODE = /^[0-7]{3,4}$/

/**
 * Throws unless a writer may append this: `InvalidKey`, `TooLarge` for a blob over the bucket's limit, `InvalidRequest` for anything
 * else. Looks at the entry alone.
 */
export function checkEntry(entry: EntryInput, options: BucketOptions): void {
  if (!isEntryId(entry.id))
    throw invalid(`${JSON.stringify(entry.id)} is not an entry id: it has 32 lower-case hex digits`)
  for (const name of [entry.author, entry.device, entry.operation]) {
    if (name !== undefined && !isText(name, MAX_NAME_BYTES)) {
      throw invalid(`author, device and operation of entry ${entry.id} are texts of at most ${MAX_NAME_BYTES} bytes`)
    }
  }
  if (entry.time !== undefined && !isTime(entry.time)) throw invalid(`the time of entry ${entry.id} is not a time`)
  if (entry.changes.length === 0 || entry.changes.length > MAX_CHANGES) {
    throw invalid(`entry ${entry.id} has ${entry.changes.length} changes: 1 to ${MAX_CHANGES} are possible`)
  }
  const keys = new Set<string>()
  for (const change of entry.changes) {
    checkChange(change, options)
    if (keys.has(change.key)) {
      const hint = 'changes of one entry happen together: put the second one into another entry'
      throw invalid(`entry ${entry.id} changes ${change.key} twice`, change.key, hint)
    }
    keys.add(change.key)
  }
}

/** Throws `InvalidRequest`. */
export function checkOptions(options: BucketOptions): void {
  if (options.copyOf !== undefined) checkCopyOf(options.copyOf)
  for (const [name, what] of NUMBERS) {
    const value = options[name]
    if (value === undefined || (Number.isSafeInteger(value) && value > 0)) continue
    throw invalid(`${name} is ${what}, not ${String(value)}`)
  }
}
const NUMBERS: readonly (readonly [Exclude<keyof BucketOptions, 'copyOf'>, string])[] = [
  ['maxBlobSize', 'a number of bytes'],
  ['keepVersions', 'a number of versions'],
  ['keepFor', 'a number of seconds'],
  ['quotaBytes', 'a number of bytes'],
  ['quotaBlobs', 'a number of blobs'],
]

function checkCopyOf({ bucket, epoch, options, through = '', last = epoch, at, restoring }: CopyOf): void {
  const times = [at, restoring?.until].every((time) => time === undefined || !Number.isNaN(Date.parse(time)))
  const texts = isText(bucket, MAX_NAME_BYTES) && isText(through, MAX_NAME_BYTES)
  if (!texts || !times || !isEntryId(epoch) || !isEntryId(last)) {
    throw invalid('copyOf does not say of which bucket this is a copy, and up to where')
  }
  if (options.copyOf !== undefined) throw invalid('the options of a copied bucket are its own, not those of a copy')
  checkOptions(options)
}

function checkChange(change: ChangeInput, options: BucketOptions): void {
  checkKey(change.key)
  if (!isExpectation(change.expect)) {
    throw invalid(`what ${change.key} is expected to be is not "any", "absent" or a version`, change.key)
  }
  if (change.type === 'put') checkPut(change, options)
}

function checkPut(change: PutChange, { maxBlobSize }: BucketOptions): void {
  const { key, hash, size, body } = change
  if (!isHash(hash)) throw invalid(`the hash of ${key} is not a SHA-256 in lower-case hex`, key)
  if (!Number.isSafeInteger(size) || size < 0) throw invalid(`the size of ${key} is not a number of bytes`, key)
  if (maxBlobSize !== undefined && size > maxBlobSize) {
    const hint = 'raise the limit: blobs bucket set BUCKET --max-blob-size SIZE'
    throw new BlobsError('TooLarge', `${key} has ${size} bytes; the bucket takes blobs of up to ${maxBlobSize}`, {
      key,
      hint,
    })
  }
  if ('copy' in body) checkCopy(key, body.copy)
  else if ('dropped' in body) checkDropped(key, body.dropped)
  else if (!isBody(body, size)) throw invalid(`the body of ${key} is not a body of ${size} bytes`, key)
  else if (size === 0 ? hash !== EMPTY_HASH : isOtherChunk(change)) {
    throw invalid(`the body of ${key} is not that of its hash ${hash}`, key)
  }
  if (!TYPE.test(change.contentType)) {
    throw invalid(`the content type of ${key} is not 1 to 255 printable ASCII characters`, key)
  }
  checkMeta(key, change.meta)
}

function checkDropped(key: string, dropped: unknown): void {
  if (dropped !== true) throw invalid(`the body of ${key} is neither there nor dropped`, key)
}

function isOtherChunk({ hash, body }: PutChange): boolean {
  if (!('refs' in body) || body.depth > 0 || body.refs.length !== 1) return false
  return body.refs[0]?.hash !== hash
}

function checkCopy(key: string, copy: { readonly key: string; readonly version: number }): void {
  checkKey(copy.key)
  if (!isVersion(copy.version)) throw invalid(`${key} is to be a copy of ${copy.key}, but not of a version`, key)
}

function checkMeta(key: string, meta: Meta): void {
  let bytes = 0
  for (const [name, value] of Object.entries(meta)) {
    if (name === '' || !isText(name, MAX_META_BYTES) || !isText(value, MAX_META_BYTES)) {
      throw invalid(`metadata ${JSON.stringify(name)} of ${key} is not text`, key)
    }
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  if (bytes > MAX_META_BYTES)
    throw invalid(`the metadata of ${key} has ${bytes} bytes: ${MAX_META_BYTES} are possible`, key)
  const { mtime, mode } = meta
  if (mtime !== undefined && !MTIME.test(mtime))
    throw invalid(`mtime ${JSON.stringify(mtime)} of ${key} is not decimal seconds`, key)
  if (mode !== undefined && !MODE.test(mode))
    throw invalid(`mode ${JSON.stringify(mode)} of ${key} is not octal as 644`, key)
}

function isExpectation(expect: Expectation): boolean {
  if (expect === 'any' || expect === 'absent') return true
  return isVersion(expect?.version) && (expect.hash === undefined || isText(expect.hash, MAX_NAME_BYTES))
}
function isTime(time: unknown): boolean {
  return Number.isSafeInteger(time) && Math.abs(time as number) <= LATEST_TIME
}
function isVersion(version: unknown): boolean {
  return Number.isSafeInteger(version) && (version as number) >= 1
}
function isText(text: unknown, maxBytes: number): boolean {
  return typeof text === 'string' && text.isWellFormed() && !text.includes('\0') && Buffer.byteLength(text) <= maxBytes
}
function invalid(message: string, key?: string, hint?: string): BlobsError {
  return new BlobsError('InvalidRequest', message, {
    ...(key === undefined ? {} : { key }),
    ...(hint === undefined ? {} : { hint }),
  })
}
