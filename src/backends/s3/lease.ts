import { hostname } from 'node:os'
import type { Clock, Ids } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { S3Client } from './client.ts'

/** Milliseconds that a lease lasts, and those before its end in which it is renewed. */
const TERM = 120_000
const MARGIN = 60_000
/** Milliseconds after which one who took it at the same time would have written, too. */
const SETTLE = 500

interface Lease {
  readonly id: string
  readonly host: string
  /** Milliseconds since 1970 by the service's clock. */
  readonly until: number
}

/** Says who writes where a service does not keep writers apart. */
export interface Holder {
  /** Resolves when this program has the lease for another minute at least. Throws `Refused` while somebody else has it. */
  hold(): Promise<void>
  /** Gives it back. */
  release(): Promise<void>
}

/** The lease is the object `KEY`: JSON of `id`, `host`, `until`. It is renewed by who writes; who does not for a while loses it. */
export function openHolder(client: S3Client, key: string, { clock, ids }: { clock: Clock; ids: Ids }): Holder {
  const id = ids.next()
  let until = 0
  let taking: Promise<void> | null = null
  const now = (): number => clock.now() + (client.ahead() ?? 0)
  const write = async (): Promise<void> => {
    const end = now() + TERM
    await client.put(key, Buffer.from(`${JSON.stringify({ id, host: hostname(), until: end } satisfies Lease)}\n`))
    until = end
  }
  const take = async (): Promise<void> => {
    const there = await readLease(client, key)
    if (there !== null && there.id !== id && there.until > now()) throw held(there, now())
    await write()
    if (there?.id === id) return
    await clock.sleep(SETTLE)
    const after = await readLease(client, key)
    if (after?.id === id) return
    until = 0
    throw held(after ?? { id: '', host: 'another machine', until: now() + TERM }, now())
  }
  return {
    hold: async () => {
      if (until - now() > MARGIN) return
      taking ??= take().finally(() => (taking = null))
      await taking
    },
    release: async () => {
      if (until <= now()) return
      until = 0
      if ((await readLease(client, key))?.id === id) await client.remove(key)
    },
  }
}

async function readLease(client: S3Client, key: string): Promise<Lease | null> {
  const bytes = (await client.get(key))?.bytes
  try {
    const lease = JSON.parse(bytes?.toString('utf8') ?? 'null') as Partial<Lease> | null
    if (typeof lease?.id !== 'string' || typeof lease.host !== 'string' || typeof lease.until !== 'number') return null
    return { id: lease.id, host: lease.host, until: lease.until }
  } catch {
    return null
  }
}

function held({ host, until }: Lease, now: number): BlobsError {
  const seconds = Math.max(1, Math.ceil((until - now) / 1000))
  return new BlobsError(
    'Refused',
    `${host} writes there now, and the service does not keep two writers apart; its lease ends in ${seconds} s (${new Date(until).toISOString()})`,
    { hint: 'end it there, or wait: a lease that nobody renews ends by itself' },
  )
}
