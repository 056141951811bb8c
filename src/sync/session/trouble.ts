import type { AgentState } from '../core/agent-state.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { sqliteProblem } from '../../platform/sqlite.ts'

type Suspension = Extract<AgentState, { name: 'suspended' }>['reason']

/** What an error of a cycle means for the agent: wait for the network, wait for someone, or end (null): damage, or a mistake of ours. */
export type Trouble =
  | { readonly type: 'offline'; readonly retryAfter: number }
  | { readonly type: 'suspended'; readonly reason: Suspension }

export function troubleOf(error: unknown): Trouble | null {
  if (!(error instanceof BlobsError)) {
    const problem = sqliteProblem(error)
    const errno = error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string'
    // A full or failing disk may recover, and nothing was lost: state and folder change by transactions.
    return errno || problem === 'full' || problem === 'io' ? { type: 'offline', retryAfter: 0 } : null
  }
  switch (error.code) {
    case 'Unavailable':
      return { type: 'offline', retryAfter: error.retryAfter ?? 0 }
    case 'Unauthenticated':
      return { type: 'suspended', reason: 'unauthenticated' }
    case 'Forbidden':
      return { type: 'suspended', reason: 'forbidden' }
    case 'NotFound':
      return { type: 'suspended', reason: 'bucket-gone' }
    case 'QuotaExceeded':
      return { type: 'suspended', reason: 'quota-exceeded' }
    case 'NotSupported':
      return { type: 'suspended', reason: 'not-supported' }
    case 'Refused':
      return rootTrouble(error)
    case 'Corrupt':
      return null
    default:
      return { type: 'offline', retryAfter: 0 }
  }
}

function rootTrouble(error: BlobsError): Trouble {
  const code = (Object(error.cause) as { code?: unknown }).code
  if (code === 'root-missing' || code === 'other-root') return { type: 'suspended', reason: code }
  return { type: 'offline', retryAfter: 0 }
}
