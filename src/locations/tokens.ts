import type { TokenDesk } from '../access/desk.ts'
import type { TokenRecord } from '../access/records.ts'
import { openSecretSource } from '../access/secrets.ts'
import type { TokenRequest } from '../access/tokens.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { TransportOptions } from '../store/http/transport.ts'
import { openBuckets } from './open.ts'

/** What a token allows, as the place tells that takes it. Times are RFC 3339. */
export type OwnToken = Omit<TokenRecord, 'by' | 'revoked' | 'issued'> & { readonly issued: string | null }

/** Where tokens are made and ended: a data directory, or a server, which allows what the asking token administers. */
export interface TokenOffice {
  /** False where none are kept: with a `TOKEN_SECRET` and no store. */
  readonly keepsRecords: boolean
  create(request: TokenRequest): Promise<{ readonly token: string; readonly record: TokenRecord }>
  list(): AsyncIterable<TokenRecord>
  find(id: string): Promise<TokenRecord | null>
  /** What a token allows that is good there. Throws `Unauthenticated`. */
  examine(token: string): Promise<OwnToken>
  /** Gives the ids that are revoked now. */
  revoke(ids: readonly string[], made: boolean): Promise<readonly string[]>
  /** All tokens for exactly this bucket (null: for all that is administered) that were issued before (milliseconds since 1970). */
  revokeBefore(bucket: string | null, before: number): Promise<void>
  /** `keep` in milliseconds. */
  rotate(keep: number): Promise<void>
  close(): Promise<void>
}

interface LocalOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly data: string
  /** Makes store and secret where there are none. */
  readonly make: boolean
  readonly clock: Clock
  readonly ids: Ids
}

/** Opens the office of a data directory. Throws `NotFound` where there is no store and none is to be made. */
export async function openLocalTokens({ env, data, make, clock, ids }: LocalOptions): Promise<TokenOffice> {
  const [{ openDesk }, { openRecords }, { openSystem }, { isStore }] = await Promise.all([
    import('../access/desk.ts'),
    import('../access/records.ts'),
    import('../access/system.ts'),
    import('../backends/local/check.ts'),
  ])
  const now = (): number => clock.now()
  const newId = (): string => ids.next()
  const source = openSecretSource(env, data, now)
  if (!make && !isStore(data)) {
    throw new BlobsError('NotFound', `there is no store in ${data}`, {
      hint: "name the server's data directory, --data DIR, or the server itself, --server URL",
    })
  }
  // The first to look into the directory: what it says of one that is a file is to the point.
  await source.load()
  const keepsRecords = !env['TOKEN_SECRET'] || isStore(data)
  const buckets = keepsRecords ? await openBuckets('', { data, clock, ids }) : null
  const system = buckets === null ? null : await openSystem(buckets)
  const records = system === null ? null : openRecords({ store: system, now, newId })
  const desk: TokenDesk = openDesk({ records, secrets: () => source.load(), source, now, newId })
  return {
    keepsRecords,
    create: (request) => desk.create(request, ''),
    list: () => desk.list(),
    find: (id) => desk.find(id),
    examine: async (token) => {
      const { openGate } = await import('../access/gate.ts')
      if (system === null) throw new BlobsError('NotFound', `there is no store in ${data}`)
      const guesses = { most: 1, window: 1 }
      const gate = await openGate({ system, secrets: await source.load(), source: null, guesses, times: clock })
      try {
        const { key: _key, issued, expires, ...grant } = await gate.admit(token, '')
        return { ...grant, issued: timeOf(issued), expires: timeOf(expires) }
      } finally {
        await gate.close()
      }
    },
    revoke: (all, made) => desk.revoke({ ids: all, made }, ''),
    revokeBefore: (bucket, before) => desk.revokeBefore(bucket ?? '*', before, ''),
    rotate: (keep) => desk.rotate(keep, ''),
    close: async () => {
      await system?.close()
      await buckets?.close()
    },
  }
}

/** Opens the office of a server. Nothing is sent before the first call. */
export async function openServerTokens(options: TransportOptions): Promise<TokenOffice> {
  const { openHttpTokens } = await import('../store/http/tokens.ts')
  const tokens = await openHttpTokens(options)
  return {
    keepsRecords: true,
    create: async ({ expires, can, prefixes, ...request }) => {
      const { token, ...record } = await tokens.create({
        ...request,
        ...(can === undefined ? {} : { can: [...can] }),
        ...(prefixes === undefined ? {} : { prefixes: [...prefixes] }),
        ...(expires === undefined ? {} : { expires: new Date(expires).toISOString() }),
      })
      return { token, record }
    },
    list: () => tokens.list(),
    find: (id) => tokens.find(id),
    examine: async (token) => {
      const own = await openHttpTokens({ ...options, token })
      try {
        return await own.self()
      } finally {
        own.close()
      }
    },
    revoke: (ids, made) => tokens.revoke({ ids: [...ids], made }),
    revokeBefore: async (bucket, before) => {
      await tokens.revoke({ issuedBefore: new Date(before).toISOString(), ...(bucket === null ? {} : { bucket }) })
    },
    rotate: (keep) => tokens.rotate(keep),
    close: async () => tokens.close(),
  }
}

function timeOf(milliseconds: number | null): string | null {
  return milliseconds === null ? null : new Date(milliseconds).toISOString()
}
