import { BlobsError } from '../store/contract/errors.ts'
import { checkBucketName, checkKey } from '../store/contract/keys.ts'
import type { Records, TokenRecord } from './records.ts'
import type { Secrets, SecretSource } from './secrets.ts'
import { isName, mintToken, tokenScope, type TokenRequest } from './tokens.ts'

/** A token that was just made, and what is kept of it. */
interface NewToken {
  readonly token: string
  readonly record: TokenRecord
}

/** Tokens that shall end before their time. */
interface Revocation {
  readonly ids: readonly string[]
  /** Also those that were made with them, and with those, and so on. */
  readonly made?: boolean
}

/** Makes and ends the tokens of a place. `by`: id of the token that asks for it, '' at the place itself. */
export interface TokenDesk {
  /** Throws `InvalidRequest` or `InvalidKey` for what could never be used. */
  create(request: TokenRequest, by: string): Promise<NewToken>
  list: Records['list']
  find: Records['find']
  /** Gives the ids that are revoked now. */
  revoke(what: Revocation, by: string): Promise<readonly string[]>
  /** Throws `InvalidRequest` for a time that is still to come. */
  revokeBefore: Records['revokeBefore']
  /**
   * Changes the secret for a new one and keeps the present one valid for so many milliseconds. Throws `Refused` where the secret is not
   * the place's own, and while the one before is still kept, unless none is to be kept; `Unavailable` while another process does the same.
   */
  rotate(keep: number, by: string): Promise<void>
}

interface DeskOptions {
  /** Null: none are kept, so that tokens can be made and nothing else. */
  readonly records: Records | null
  readonly secrets: () => Promise<Secrets>
  /** Null: the secret cannot be changed here. */
  readonly source: SecretSource | null
  /** Milliseconds since 1970. */
  readonly now: () => number
  readonly newId: () => string
}

/** A clock that differs by less is not told from ours. */
const SKEW = 60_000

export function openDesk({ records, secrets, source, now, newId }: DeskOptions): TokenDesk {
  const kept = (): Records => {
    if (records !== null) return records
    throw new BlobsError('NotFound', 'no records of tokens are kept here', {
      hint: 'name the data directory: --data DIR',
    })
  }
  return {
    create: async (request, by) => {
      const time = now()
      checkRequest(request, time)
      const id = newId()
      const token = await mintToken(request, await secrets(), { now: time, id })
      const record = { id, ...tokenScope(request), issued: new Date(time).toISOString(), by }
      await records?.add(record)
      return { token, record: { ...record, revoked: null } }
    },
    list: (after) => kept().list(after),
    find: async (id) => records?.find(id) ?? null,
    revoke: async ({ ids, made = false }, by) => {
      const all = made ? await withMade(kept(), ids) : ids
      await kept().revoke(all, by)
      return all
    },
    revokeBefore: async (bucket, before, by) => {
      if (before > now() + SKEW) {
        throw new BlobsError('InvalidRequest', 'tokens cannot be revoked before they are made', {
          hint: 'give a time of the past',
        })
      }
      await kept().revokeBefore(bucket, before, by)
    },
    rotate: async (keep, by) => {
      if (source === null) throw new BlobsError('Refused', 'the secret cannot be changed here')
      const until = await source.previousUntil()
      if (until !== null && keep > 0) {
        throw new BlobsError('Refused', `the secret before this one is valid until ${new Date(until).toISOString()}`, {
          hint: 'wait until then, or end all tokens that were ever made: --keep 0s',
        })
      }
      await kept().claimRotation(by)
      await source.rotate(now() + keep)
    },
  }
}

function checkRequest({ bucket, prefixes, name, expires, can }: TokenRequest, now: number): void {
  if (bucket !== '*') checkBucketName(bucket)
  for (const prefix of prefixes ?? []) checkKey(prefix.replace(/\/$/, ''))
  if (name !== undefined && !isName(name)) throw bad('the name is longer than 256 bytes, or holds a NUL character')
  if (prefixes?.length === 0) throw bad('a token without a folder could do nothing')
  if (can?.length === 0) throw bad('a token that may do nothing is of no use')
  if (expires !== undefined && expires <= now) throw bad('the token would have expired already')
}

/** The ids, and those of all tokens that descend from them. */
async function withMade(records: Records, ids: readonly string[]): Promise<readonly string[]> {
  const children = new Map<string, string[]>()
  for await (const { id, by } of records.list()) {
    if (by !== '') children.set(by, [...(children.get(by) ?? []), id])
  }
  const all = new Set(ids)
  for (const id of all) for (const child of children.get(id) ?? []) all.add(child)
  return [...all]
}

function bad(message: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint: 'how it is meant: blobs help token create' })
}
