import type { Buckets } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Grant } from './grant.ts'
import { type LeaseBook, type Lease, openLeaseBook } from './leases.ts'
import { endOf, followRevocations } from './revocations.ts'
import type { Secrets } from './secrets.ts'
import { openSystem } from './system.ts'
import type { Rejection } from './tokens.ts'
import { openVerifier } from './verifier.ts'

/** Who comes in with which token, and when he has to leave: the one place that every face of a server asks. */
export interface Gate {
  /**
   * What the token allows that came from this address. Throws `Unauthenticated` for one that is not good or not any more, and `Unavailable` while it cannot be known
   * what was revoked.
   */
  admit(token: string, address: string): Promise<Grant>
  /**
   * To be held as long as a connection or a request goes on, and released with it. Its signal aborts, with the error to be told as its
   * reason, when the grant ends: expired, revoked, or signed with a secret that is not valid any more. It may have aborted already.
   */
  lease(grant: Grant): Lease
  close(): Promise<void>
}

interface GateOptions {
  /** Where the reserved bucket is. */
  readonly buckets: Pick<Buckets, 'open' | 'create'>
  readonly secrets: Secrets
  /** Milliseconds since 1970. */
  readonly now: () => number
}

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

/** Opens the gate of a server; makes the reserved bucket when it is not there. */
export async function openGate({ buckets, secrets, now }: GateOptions): Promise<Gate> {
  const system = await openSystem(buckets)
  const verify = openVerifier(secrets, now)
  const leases: LeaseBook = openLeaseBook(now, () => refused('expired'))
  const revocations = await followRevocations(system, () => leases.end(ended))
  function ended(grant: Grant): BlobsError | null {
    return endOf(revocations.state, grant) === null ? null : refused('revoked')
  }
  return {
    admit: async (token) => {
      if (revocations.blindFor() > BLIND) {
        throw new BlobsError('Unavailable', 'the server cannot read which tokens were revoked', { retryAfter: 1000 })
      }
      const verdict = await verify(token)
      if (!verdict.ok) throw refused(verdict.reason)
      const end = ended(verdict.grant)
      if (end !== null) throw end
      return verdict.grant
    },
    lease: (grant) => leases.open(grant, ended(grant)),
    close: async () => {
      await revocations.close()
      await system.close()
    },
  }
}

function refused(reason: Rejection): BlobsError {
  return new BlobsError('Unauthenticated', REASONS[reason], { hint: 'ask for a new token' })
}
