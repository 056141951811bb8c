import type { Clock } from '../platform/ports.ts'
import { after } from '../platform/timer.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { openSlabs, SLAB_BYTES, type Slabs } from '../store/contract/slabs.ts'

/** Slabs that stay between requests: what a few large uploads take. */
const KEPT = 16

/** Memory for the chunks of all requests. */
export interface Memory {
  /** As it is lent to one of many, by name: so many slabs at once, and no more. Who waits too long for one gets `Unavailable`. */
  of(name: string): Slabs
}
interface MemoryOptions {
  /** Bytes in all, and for one name. */
  readonly total: number
  readonly share: number
  /** Milliseconds. */
  readonly patience: number
  readonly clock: Clock
}

export function openMemory({ total, share, patience, clock }: MemoryOptions): Memory {
  const slabs = openSlabs({ most: Math.floor(total / SLAB_BYTES), kept: KEPT })
  const most = Math.max(1, Math.floor(share / SLAB_BYTES))
  const accounts = new Map<string, Account>()
  const accountOf = (name: string): Account => {
    const account = accounts.get(name) ?? { held: 0, line: [] }
    accounts.set(name, account)
    return account
  }
  /** Lets the next in line try, and forgets who has nothing and wants nothing. */
  const settle = (name: string, account: Account): void => {
    const turn = account.held < most ? account.line.shift() : undefined
    if (turn !== undefined) turn()
    else if (account.held === 0 && account.line.length === 0) accounts.delete(name)
  }
  const room = (account: Account, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        account.line.splice(account.line.indexOf(turn), 1)
        reject(signal.reason)
      }
      const turn = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      signal.addEventListener('abort', leave, { once: true })
      account.line.push(turn)
    })
  return {
    of: (name) => ({
      take: () => {
        const account = accountOf(name)
        const slab = account.held < most && account.line.length === 0 ? slabs.take() : null
        if (slab !== null) account.held += 1
        settle(name, account)
        return slab
      },
      borrow: () =>
        within(clock, patience, async (signal) => {
          const account = accountOf(name)
          while (account.held >= most) await room(account, signal)
          account.held += 1
          try {
            return await slabs.borrow(signal)
          } catch (error) {
            account.held -= 1
            settle(name, account)
            throw error
          }
        }),
      giveBack: (lent, untouched) => {
        const account = accountOf(name)
        account.held -= lent.length
        slabs.giveBack(lent, untouched)
        for (const _one of lent) settle(name, account)
        if (lent.length === 0) settle(name, account)
      },
    }),
  }
}

interface Account {
  held: number
  readonly line: (() => void)[]
}

async function within<T>(clock: Clock, patience: number, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const waiting = new AbortController()
  const cancel = after(clock, patience, () => waiting.abort(tooMany()))
  try {
    return await act(waiting.signal)
  } finally {
    cancel()
  }
}

function tooMany(): BlobsError {
  return new BlobsError('Unavailable', 'the server has too many uploads under way', {
    retryAfter: 1000,
    hint: 'the same request may succeed in a moment',
  })
}
