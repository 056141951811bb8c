import { setTimeout as sleep } from 'node:timers/promises'
import type { BlobStore } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Grant } from './grant.ts'
import type { Times } from './invitations.ts'
import { type Lease, openLeaseBook } from './leases.ts'
import { endOf, followRevocations } from './revocations.ts'
import type { Secrets, SecretSource } from './secrets.ts'
import type { Rejection } from './tokens.ts'
import { isOwnAddress, openTries } from './tries.ts'
import { openVerifier } from './verifier.ts'

/** Who comes in with which token, and when he has to leave: the one place that every face of a server asks. */
export interface Gate {
  /**
   * What the token allows that came from this address. Throws `Unauthenticated` for one that is not good or not any more; `Unavailable` for
   * an address that sent too many that were never good, and when it could not be known for a second what was revoked; `blind`: for so many
   * milliseconds, if that is longer. This machine's own addresses are never refused with a good one.
   */
  admit(token: string, address: string, blind?: number): Promise<Grant>
  /**
   * To be held as long as a connection or a request goes on, and released with it. Its signal aborts, with the error to be told as its
   * reason, when the grant ends: expired, revoked, or signed with a secret that is not valid any more. It may have aborted already.
   */
  lease(grant: Grant): Lease
  close(): Promise<void>
}

interface GateOptions {
  /** The reserved bucket; to be closed after the gate. */
  readonly system: BlobStore
  /** What is valid at first. */
  readonly secrets: Secrets
  /** What is valid later; null: the same. */
  readonly source: Pick<SecretSource, 'look'> | null
  /** Tokens that were never good which one address may send within `window` milliseconds. */
  readonly guesses: { readonly most: number; readonly window: number }
  readonly times: Times
}

/** What no server of this secret ever signed: others were good once, and who goes on with them guesses nothing. */
const GUESSES: ReadonlySet<Rejection> = new Set(['malformed', 'wrong-algorithm', 'wrong-signature', 'bad-claims'])

const REASONS: Readonly<Record<Rejection, string>> = {
  malformed: 'the token is not one',
  'wrong-algorithm': 'the token is not signed with HS256',
  'wrong-signature': 'the token was not signed by this server',
  expired: 'the token has expired',
  'not-yet-valid': 'the token is not valid yet',
  'bad-claims': 'the token has claims that are not understood',
  revoked: 'the token has been revoked',
}

/** Milliseconds for which revocations may be unreadable until nobody is let in. */
const BLIND = 1000

/** Milliseconds between two looks at what the secret is. */
const LOOK = 400

export async function openGate({ system, secrets, source, guesses, times }: GateOptions): Promise<Gate> {
  const now = (): number => times.now()
  const tries = openTries({ ...guesses, elapsed: () => times.elapsed() })
  const verifier = openVerifier(secrets, now)
  const leases = openLeaseBook(now, () => refused('expired'))
  const revocations = await followRevocations(system, () => leases.end(ended))
  const closing = new AbortController()
  const looking = source === null ? null : followSecrets(source, closing.signal, renew)
  function ended(grant: Grant): BlobsError | null {
    if (endOf(revocations.state, grant) !== null) return refused('revoked')
    return verifier.knows(grant.key) ? null : refused('wrong-signature')
  }
  function renew(fresh: Secrets): void {
    if (verifier.renew(fresh)) leases.end(ended)
  }
  return {
    admit: async (token, address, blind = 0) => {
      const wait = tries.waitOf(address)
      if (wait > 0 && !isOwnAddress(address)) throw lockedOut(wait)
      if ((await revocations.age(BLIND)) > Math.max(BLIND, blind)) {
        throw new BlobsError('Unavailable', 'the server cannot read which tokens were revoked', { retryAfter: 1000 })
      }
      const verdict = await verifier.verify(token)
      if (!verdict.ok) {
        if (wait > 0) throw lockedOut(wait)
        if (GUESSES.has(verdict.reason)) tries.count(address)
        throw refused(verdict.reason)
      }
      const end = ended(verdict.grant)
      if (end !== null) throw end
      return verdict.grant
    },
    lease: (grant) => leases.open(grant, ended(grant)),
    close: async () => {
      closing.abort()
      await looking
      await revocations.close()
    },
  }
}

async function followSecrets(
  source: Pick<SecretSource, 'look'>,
  signal: AbortSignal,
  renew: (secrets: Secrets) => void,
): Promise<void> {
  while (!signal.aborted) {
    await sleep(LOOK, undefined, { signal, ref: false }).catch(() => undefined)
    // What cannot be read, or is being put right by hand, changes nothing.
    const secrets = await source.look().catch(() => null)
    if (secrets !== null && !signal.aborted) renew(secrets)
  }
}

function refused(reason: Rejection): BlobsError {
  return new BlobsError('Unauthenticated', REASONS[reason], { hint: 'ask for a new token' })
}

function lockedOut(wait: number): BlobsError {
  return new BlobsError('Unavailable', 'too many bad tokens came from this address', {
    retryAfter: Math.ceil(wait),
    hint: 'wait, then send a good one',
  })
}
