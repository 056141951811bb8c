import type { BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { type Capability, isCapabilities } from './grant.ts'
import { endOf, idKey, keyOfCutoff, keyOfRevoked, readRevocations, type RevocationState } from './revocations.ts'
import { type Kept, readRecord, readRecords, writeRecords } from './system.ts'

/** What is kept of a token: never the token itself. Times are RFC 3339. */
export interface TokenRecord {
  readonly id: string
  /** Who it was made for, or ''. */
  readonly name: string
  /** One bucket, or `*`. */
  readonly bucket: string
  /** Null: the whole bucket. */
  readonly prefixes: readonly string[] | null
  readonly can: readonly Capability[]
  readonly issued: string
  readonly expires: string | null
  /** Id of the token that it was made with; '' for one made at the store itself. */
  readonly by: string
  /** When it was revoked, by its id or with all that were issued before a time; null while it was not. */
  readonly revoked: string | null
}

/** The records of tokens in the reserved bucket, which every process that serves the place reads. */
export interface Records {
  add(record: Omit<TokenRecord, 'revoked'>): Promise<void>
  /** By the order of their ids, those after one. */
  list(after?: string): AsyncIterable<TokenRecord>
  find(id: string): Promise<TokenRecord | null>
  /** Ends tokens, also such as no record tells of. `by`: id of the token that asks for it, or ''. */
  revoke(ids: readonly string[], by: string): Promise<void>
  /** Ends all tokens for exactly this bucket, or with `*` all there are, that were issued before a time (milliseconds since 1970). */
  revokeBefore(bucket: string, before: number, by: string): Promise<void>
  /** Notes that the secret is changed now. Throws `Unavailable` when another process does so at the same time. */
  claimRotation(by: string): Promise<void>
}

const TOKENS = 'tokens/'
const ROTATION = 'rotation'
/** Milliseconds that a change of the secret may take. */
const ROTATING = 2000
const FORMAT = 1

export interface RecordsOptions {
  readonly store: BlobStore
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** 32 lower-case hex digits, never the same twice. */
  readonly newId: () => string
}

export function openRecords({ store, now, newId }: RecordsOptions): Records {
  const keyOf = (id: string): string => `${TOKENS}${idKey(id)}`
  const stamp = (by: string) => ({ v: FORMAT, revoked: new Date(now()).toISOString(), by })
  return {
    add: async (record) => {
      const written = { key: keyOf(record.id), value: { v: FORMAT, ...record }, expect: 'absent' as const }
      const [done] = await writeRecords(store, [written], newId)
      if (done === true) return
      throw new BlobsError('AlreadyExists', `there is a token ${record.id} already`)
    },
    list: async function* (after) {
      const state = await readRevocations(store)
      const from = after === undefined ? {} : { after: keyOf(after) }
      for await (const kept of readRecords(store, TOKENS, from)) {
        const record = decode(kept, state)
        if (record !== null) yield record
      }
    },
    find: async (id) => {
      const kept = await readRecord(store, keyOf(id))
      return kept === null ? null : decode(kept, await readRevocations(store))
    },
    revoke: async (ids, by) => {
      const records = ids.map((id) => ({
        key: keyOfRevoked(id),
        value: { id, ...stamp(by) },
        expect: 'absent' as const,
      }))
      // One that is there already was revoked before, and stays so.
      await writeRecords(store, records, newId)
    },
    revokeBefore: async (bucket, before, by) => {
      const key = keyOfCutoff(bucket)
      for (;;) {
        const found = await readRecord(store, key)
        if (found !== null && timeOf(found, 'before') >= before) return
        const value = { bucket, before: new Date(before).toISOString(), ...stamp(by) }
        const expect = found === null ? ('absent' as const) : { version: found.version }
        const [done] = await writeRecords(store, [{ key, value, expect }], newId)
        if (done === true) return
      }
    },
    claimRotation: async (by) => {
      const found = await readRecord(store, ROTATION)
      const age = found === null ? ROTATING : now() - timeOf(found, 'rotated')
      const value = { v: FORMAT, rotated: new Date(now()).toISOString(), by }
      const expect = found === null ? ('absent' as const) : { version: found.version }
      const mine = age < 0 || age >= ROTATING
      if (mine && (await writeRecords(store, [{ key: ROTATION, value, expect }], newId))[0] === true) return
      throw new BlobsError('Unavailable', 'the secret is being changed by somebody else', {
        retryAfter: ROTATING,
        hint: 'see what it has become in a moment',
      })
    },
  }
}

function timeOf({ value }: Kept, name: string): number {
  return Date.parse(String((value as Readonly<Record<string, unknown>>)[name]))
}

/** Null for a record that is not understood: it is of a newer program. */
function decode({ value }: Kept, state: RevocationState): TokenRecord | null {
  const { v, id, name, bucket, prefixes, can, issued, expires, by } = value as Readonly<Record<string, unknown>>
  const known =
    v === FORMAT &&
    [id, name, bucket, issued, by].every((one) => typeof one === 'string') &&
    (prefixes === null || Array.isArray(prefixes)) &&
    isCapabilities(can) &&
    (expires === null || typeof expires === 'string')
  if (!known) return null
  const record = { id, name, bucket, prefixes, can, issued, expires, by } as Omit<TokenRecord, 'revoked'>
  return { ...record, revoked: endOf(state, { ...record, issued: Date.parse(record.issued) }) }
}
