import { openDesk, type TokenDesk } from '../access/desk.ts'
import { type Gate, openGate } from '../access/gate.ts'
import { openRecords } from '../access/records.ts'
import type { Secrets, SecretSource } from '../access/secrets.ts'
import { openSystem } from '../access/system.ts'
import type { Clock } from '../platform/ports.ts'
import type { Buckets } from '../store/contract/blob-store.ts'
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
  const desk = openDesk({
    records: openRecords({ store: system, now, newId }),
    secrets: async () => (await source?.look()) ?? secrets,
    source,
    now,
    newId,
  })
  return {
    gate,
    desk,
    close: async () => {
      await gate.close()
      await system.close()
    },
  }
}
