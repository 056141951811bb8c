import { MAX_LIST_REFS } from '../content/body.ts'
import { isHash, type Hash } from '../content/hash.ts'
import { BlobsError } from './contract/errors.ts'
import type { BucketOptions, Expectation, Meta } from './contract/types.ts'
import type { Position, RawEntry } from './ports.ts'

/** The highest entry format that this program reads. */
const FORMAT = 2
const MAX_KEY_BYTES = 1024
/** Milliseconds since 1970, either way. */
export const LATEST_TIME = 8.64e15
const ID = /^[0-9a-f]{32}$/

type EntryRef = readonly [hash: Hash, size: number]
interface EntryPut {
  readonly put: string
  readonly expect: Expectation
  readonly hash: Hash
  readonly size: number
  readonly depth: number
  readonly refs: readonly EntryRef[]
  readonly type: string
  readonly meta: Meta
  /** In format 2: the version has lost its bytes from the start; there are no refs. */
  readonly dropped?: true
}
interface EntryDelete {
  readonly delete: string
  readonly expect: Expectation
}
export type EntryChange = EntryPut | EntryDelete

/** An entry as docs/entry-format.md describes it. */
export interface Entry {
  /** 2 for one that drops: who does not know that would promise bytes that are gone. */
  readonly v: 1 | 2
  readonly id: string
  /** Milliseconds since 1970 by the writer's clock. */
  readonly time: number
  readonly author: string
  readonly device: string
  readonly operation?: string
  readonly changes: readonly EntryChange[]
  /** Head of the view that the writer looked at; 0 for none. */
  readonly based: Position
  /** In the first entry of a log, and in one that changes the options. */
  readonly bucket?: { readonly name: string; readonly created: string; readonly options: BucketOptions }
  /** Of each key the versions up to a number, but not the current one, lose their bytes. */
  readonly drop?: readonly Drop[]
}
export type Drop = readonly [key: string, through: number]

/** Stands in the log for an entry that is too large for it. */
export interface EntryPointer {
  readonly v: 1
  readonly id: string
  /** Where the entry's bytes are in Content. */
  readonly content: Hash
  readonly size: number
}

export function isEntryId(id: unknown): id is string {
  return typeof id === 'string' && ID.test(id)
}

/** The lowest format that says what the entry says. */
export function formatOf({ changes, drop }: Pick<Entry, 'changes' | 'drop'>): Entry['v'] {
  return drop !== undefined || changes.some((change) => 'put' in change && change.dropped === true) ? 2 : 1
}

export function keyOf(change: EntryChange): string {
  return 'put' in change ? change.put : change.delete
}

export function encodeEntry(entry: Entry | EntryPointer): Uint8Array {
  return Buffer.from(JSON.stringify(entry))
}

/**
 * Reads an entry as the log, or Content for a pointer, holds it. Throws `NotSupported` for a newer format, `Corrupt` for anything
 * that is not an entry, each naming the entry.
 */
export function decodeEntry(raw: RawEntry): Entry | EntryPointer {
  const value = parse(raw)
  if (typeof value['v'] === 'number' && value['v'] > FORMAT) {
    throw new BlobsError(
      'NotSupported',
      `entry ${raw.id} has format ${value['v']}; this program reads up to ${FORMAT}`,
      {
        hint: 'another program wrote it: install the same version of blobs here',
      },
    )
  }
  const problem = 'content' in value ? pointerProblem(value) : entryProblem(value)
  if (problem !== null) throw corrupt(raw, problem)
  if (value['id'] !== raw.id) throw corrupt(raw, `it calls itself ${String(value['id'])}`)
  return value as unknown as Entry | EntryPointer
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

type Fields = Readonly<Record<string, unknown>>

function parse(raw: RawEntry): Fields {
  try {
    const value: unknown = JSON.parse(utf8.decode(raw.data))
    if (isFields(value)) return value
  } catch (error) {
    throw corrupt(raw, 'it is not JSON', error)
  }
  throw corrupt(raw, 'it is not a JSON object')
}

function corrupt(raw: RawEntry, problem: string, cause?: unknown): BlobsError {
  return new BlobsError('Corrupt', `entry ${raw.id} of the log cannot be read: ${problem}`, {
    cause,
    hint: 'the log was damaged: restore it from a backup, or copy the bucket from another place',
  })
}

function pointerProblem(value: Fields): string | null {
  if (value['v'] !== 1) return 'v is not a format number'
  if (!isEntryId(value['id'])) return 'id is not 32 hex digits'
  if (!isHashValue(value['content'])) return 'content is not a hash'
  if (!isCount(value['size'])) return 'size is not a number of bytes'
  return null
}

function entryProblem(value: Fields): string | null {
  if (value['v'] !== 1 && value['v'] !== FORMAT) return 'v is not a format number'
  if (!isEntryId(value['id'])) return 'id is not 32 hex digits'
  if (!Number.isSafeInteger(value['time']) || Math.abs(value['time'] as number) > LATEST_TIME)
    return 'time is not a time'
  if (!isText(value['author']) || !isText(value['device'])) return 'author or device is not text'
  if (value['operation'] !== undefined && !isText(value['operation'])) return 'operation is not text'
  if (!isCount(value['based'])) return 'based is not a position'
  if (value['bucket'] !== undefined && !isBucket(value['bucket'])) return 'bucket is not a description of a bucket'
  if (value['v'] === FORMAT && !isDrops(value['drop'])) return 'drop is not a list of keys and versions'
  if (!Array.isArray(value['changes'])) return 'changes is not a list'
  for (const [index, change] of value['changes'].entries()) {
    const problem = isFields(change) ? changeProblem(change) : 'it is not an object'
    if (problem !== null) return `change ${index + 1}: ${problem}`
  }
  return null
}

function changeProblem(change: Fields): string | null {
  const isPut = 'put' in change
  if (isPut === 'delete' in change) return 'it is not one of put and delete'
  if (!isPlainKey(isPut ? change['put'] : change['delete'])) return 'its key is not a key'
  if (!isExpectation(change['expect'])) return 'expect is not an expectation'
  if (!isPut) return null
  if (!isHashValue(change['hash'])) return 'hash is not a hash'
  if (!isCount(change['size'])) return 'size is not a number of bytes'
  if (!isCount(change['depth'])) return 'depth is not a depth'
  if (!Array.isArray(change['refs']) || !change['refs'].every(isRef)) return 'refs is not a list of refs'
  if (change['refs'].length > MAX_LIST_REFS) return `it has more than ${MAX_LIST_REFS} refs`
  if (!isText(change['type'])) return 'type is not text'
  if (!isMeta(change['meta'])) return 'meta is not text by name'
  if (change['dropped'] !== undefined && change['dropped'] !== true) return 'dropped is not true'
  return null
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed()
}
function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
function isHashValue(value: unknown): boolean {
  return typeof value === 'string' && isHash(value)
}
function isRef(value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && isHashValue(value[0]) && isCount(value[1])
}
function isMeta(value: unknown): boolean {
  return isFields(value) && Object.entries(value).every(([name, text]) => isText(name) && isText(text))
}
function isBucket(value: unknown): boolean {
  return isFields(value) && isText(value['name']) && isText(value['created']) && isFields(value['options'])
}
function isDrops(value: unknown): boolean {
  if (!Array.isArray(value)) return value === undefined
  return value.every((one) => Array.isArray(one) && one.length === 2 && isPlainKey(one[0]) && isCount(one[1]))
}
function isExpectation(value: unknown): boolean {
  if (value === 'any' || value === 'absent') return true
  if (!isFields(value) || !isCount(value['version']) || value['version'] === 0) return false
  return value['hash'] === undefined || isText(value['hash'])
}
// Not `keyProblem`: whether text is in normal form C depends on a Unicode table, and readers have different ones.
function isPlainKey(value: unknown): boolean {
  return isText(value) && value !== '' && !value.includes('\0') && Buffer.byteLength(value) <= MAX_KEY_BYTES
}
