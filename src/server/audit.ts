import type { Grant } from '../access/grant.ts'
import { openTries } from '../access/tries.ts'
import type { Clock } from '../platform/ports.ts'
import type { LogWriter } from './log.ts'

/** One thing that was done, or refused. */
export interface Audited {
  /** `get`, `put`, `delete`, `list`, `token.create` … */
  readonly action: string
  readonly bucket?: string
  readonly key?: string
  readonly version?: number
  /** Id of the token that was made or ended; the time, for all that were issued before it. */
  readonly subject?: string
  /** `ok`, the code of the problem it ended with, or `cut` for a connection that broke off. */
  readonly result: string
}

/** Who did it, from where, and how long it took, in milliseconds. */
interface Done {
  /** Null: no good token. */
  readonly grant: Pick<Grant, 'id' | 'name'> | null
  readonly address: string
  readonly ms: number
}

/** Writes down who did what: one JSON object a line. Never holds a token or a secret. */
export interface Audit {
  write(done: Done, all: readonly Audited[]): void
}

/** Lines about one address without a good token within a minute: so nobody fills the log with what he may not do. */
const STRANGERS = 60
const MINUTE = 60_000

/** Null: nothing is written. */
export function openAudit(write: LogWriter | null, clock: Pick<Clock, 'now' | 'elapsed'>): Audit {
  const strangers = openTries({ most: STRANGERS, window: MINUTE, elapsed: () => clock.elapsed() })
  return {
    write: ({ grant, address, ms }, all) => {
      if (write === null) return
      if (grant === null) {
        if (strangers.waitOf(address) > 0) return
        strangers.count(address)
      }
      const time = new Date(clock.now()).toISOString()
      for (const { action, bucket, key, version, subject, result } of all) {
        const who = { who: grant?.name ?? '', token: grant?.id ?? '', address }
        const what = { action, bucket, key, version, subject, result }
        write(`${harmless(JSON.stringify({ time, ...who, ...what, ms: Math.round(ms) }))}\n`)
      }
    },
  }
}

/** JSON escapes line feeds; these move a terminal's cursor or turn its text around too. */
function harmless(json: string): string {
  return json.replaceAll(
    /[\u007F-\u009F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
