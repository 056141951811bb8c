import type { Hash } from '../../content/hash.ts'

/** Most characters of a name there. */
const LONGEST_NAME = 255
/** Digits of a version that there must be room for. */
const VERSION_DIGITS = 9
const HASH_DIGITS = 32
const RANDOM_DIGITS = 12
const PLAIN_DIGITS = 8
const STORED = /^(.+)~v([1-9][0-9]{0,14})~([0-9a-f]{32}|gone)~([0-9a-f]{12})(?:~over~([0-9a-f]{8}))?$/s

/**
 * What a name of ours says: `KEY~vVERSION~HASH~RANDOM`, as `notes/a.txt~v3~9f86d081884c7d659a2feaa0c55ad015~5ce0e2a71b04`. A name is used once for ever
 * there: the random part sees to it. HASH is the first half of the bytes' SHA-256, or `gone` for a delete. `~over~ID` at its end: it replaces what
 * somebody else stored under the plain key, as the blob whose id begins so.
 */
export interface StoredName {
  readonly key: string
  readonly version: number
  /** First half of the SHA-256; null: deleted. */
  readonly hash: string | null
  readonly random: string
  /** Null if nobody stored anything under the plain key. */
  readonly over: string | null
}

export function formatName({ key, version, hash, random, over }: StoredName): string {
  return `${key}~v${version}~${hash ?? 'gone'}~${random}${over === null ? '' : `~over~${over}`}`
}

/** Null for a name that is not ours: then it is a key. */
export function parseName(name: string): StoredName | null {
  const [, key, version, hash, random, over] = STORED.exec(name) ?? []
  if (key === undefined || hash === undefined || random === undefined) return null
  return { key, version: Number(version), hash: hash === 'gone' ? null : hash, random, over: over ?? null }
}

export function nameHash(hash: Hash): string {
  return hash.slice(0, HASH_DIGITS)
}

/** `id` is 32 hex digits of chance. */
export function nameRandom(id: string): string {
  return id.slice(0, RANDOM_DIGITS)
}

/** What a name says of a blob that somebody stored under the plain key. */
export function plainId(blobId: string): string {
  return blobId
    .toLowerCase()
    .replaceAll(/[^0-9a-f]/g, '')
    .padEnd(PLAIN_DIGITS, '0')
    .slice(0, PLAIN_DIGITS)
}

/** Most characters of a key that names there have room for. */
export const LONGEST_KEY =
  LONGEST_NAME -
  formatName({
    key: '',
    version: 10 ** (VERSION_DIGITS - 1),
    hash: 'f'.repeat(HASH_DIGITS),
    random: 'f'.repeat(RANDOM_DIGITS),
    over: 'f'.repeat(PLAIN_DIGITS),
  }).length
