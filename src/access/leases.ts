import type { BlobsError } from '../store/contract/errors.ts'
import type { Grant } from './grant.ts'

/** What goes on under a grant, as long as it lasts. */
export interface Lease {
  /** Aborts when the grant ends, with the error that is to be told as its reason. */
  readonly signal: AbortSignal
  /** It goes on no more. May be called again. */
  release(): void
}

/** All leases that are out. */
export interface LeaseBook {
  /** `ended`: why the grant has ended already, or null. */
  open(grant: Grant, ended: BlobsError | null): Lease
  /** Ends those whose grant has, by this judgement, ended. */
  end(judge: (grant: Grant) => BlobsError | null): void
}

/** Longest time that a timer takes. */
const LONGEST = 2 ** 31 - 1

/** Opens a book of leases, each of which ends at the latest when its grant expires. */
export function openLeaseBook(now: () => number, expired: () => BlobsError): LeaseBook {
  const out = new Map<AbortController, Grant>()
  return {
    open: (grant, ended) => {
      const controller = new AbortController()
      const stop = grant.expires === null ? null : atTime(grant.expires, now, () => controller.abort(expired()))
      if (ended !== null) controller.abort(ended)
      out.set(controller, grant)
      return {
        signal: controller.signal,
        release: () => {
          stop?.()
          out.delete(controller)
        },
      }
    },
    end: (judge) => {
      for (const [controller, grant] of out) {
        const why = judge(grant)
        if (why !== null) controller.abort(why)
      }
    },
  }
}

/** Calls at a time that may lie beyond what a timer takes; returns how to cancel it. */
function atTime(time: number, now: () => number, fn: () => void): () => void {
  const step = (): NodeJS.Timeout =>
    setTimeout(() => (now() >= time ? fn() : (timer = step())), Math.min(Math.max(time - now(), 0), LONGEST)).unref()
  let timer = step()
  return () => clearTimeout(timer)
}
