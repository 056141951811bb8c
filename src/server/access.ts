import { openDesk, type TokenDesk } from '../access/desk.ts'
import { type Gate, openGate } from '../access/gate.ts'
import { openRecords } from '../access/records.ts'
import type { Secrets, SecretSource } from '../access/secrets.ts'
import { openSystem } from '../access/system.ts'
import type { Clock } from '../platform/ports.ts'
import type { BlobStore, Buckets } from '../store/contract/blob-store.ts'
import type { Bounds } from './times.ts'

export interface AccessOptions {
  readonly buckets: Pick<Buckets, 'open' | 'create'>
  /** What tokens are signed with. */
  readonly secrets: Secrets
  /** Where the secrets come from: looked at again and again, for they may be changed. Without it they stay. */
  readonly secretSource?: SecretSource
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** 32 lower-case hex digits, never the same twice. */
  readonly newId: () => string
}

/** Who may come in, and who makes tokens for others. */
export interface Access {
  readonly gate: Gate
  readonly desk: TokenDesk
  /** For faces that have users and tokens of their own; null: there can be none. */
  readonly own: { readonly secrets: () => Promise<Secrets>; readonly system: BlobStore } | null
  close(): Promise<void>
}

/** Opens what a server keeps in the reserved bucket, which is made when it is not there. */
export async function openAccess(
  options: AccessOptions,
  { badTokens: most, badTokensWindow: window }: Pick<Bounds, 'badTokens' | 'badTokensWindow'>,
  clock: Pick<Clock, 'elapsed'>,
): Promise<Access> {
  const { buckets, secrets, secretSource: source = null, now, newId } = options
  const system = await openSystem(buckets)
  const gate = await openGate({
    system,
    secrets,
    source,
    guesses: { most, window },
    times: { now, elapsed: () => clock.elapsed() },
  })
  const current = async (): Promise<Secrets> => (await source?.look()) ?? secrets
  const desk = openDesk({
    records: openRecords({ store: system, now, newId }),
    secrets: current,
    source,
    now,
    newId,
  })
  return {
    gate,
    desk,
    own: { secrets: current, system },
    close: async () => {
      await gate.close()
      await system.close()
    },
  }
}
