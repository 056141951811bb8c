import { BlobsError } from '../../store/contract/errors.ts'
import type { BackendContext } from '../../store/ports.ts'
import type { S3Client } from './client.ts'
import { openHolder } from './lease.ts'
import { probe, type Verdict } from './probe.ts'
import { openVerdicts } from './verdicts.ts'

/** Lets writers in. */
export interface Gate {
  /**
   * `together`: the service was seen to keep several writers apart; `alone`: it does not, and this program has the place for itself.
   * Throws `Refused` where it does not and others may write, or do.
   */
  enter(): Promise<'together' | 'alone'>
  close(): Promise<void>
}

export interface GateOptions {
  readonly client: S3Client
  readonly another: () => Promise<S3Client>
  /** What all names start with: '' or ends with a slash. */
  readonly prefix: string
  readonly context: BackendContext
}

/** Milliseconds after which a service that failed is put to the test again, if somebody still wants to write. */
const AGAIN = 60_000

/** The first who enters puts the service to the test, unless this machine did so of late. */
export function openGate(options: GateOptions): Gate {
  const { client, prefix, context } = options
  const holder = openHolder(client, `${prefix}lease`, context)
  let judged: Promise<Verdict> | null = null
  let judgedAt = 0
  let warned = false
  const judge = async (): Promise<Verdict> => {
    const now = context.clock.elapsed()
    if (judged !== null && now - judgedAt > AGAIN && !(await judged).ok) judged = null
    if (judged === null) {
      judgedAt = now
      judged = judgeOnce(options)
      judged.catch(() => (judged = null))
    }
    return judged
  }
  return {
    enter: async () => {
      const verdict = await judge()
      if (verdict.ok) return 'together'
      if (!context.singleWriter) throw await refused(client, verdict.saw)
      await holder.hold()
      if (!warned) context.warn(risk(client, verdict.saw))
      warned = true
      return 'alone'
    },
    close: async () => {
      await holder.release().catch(() => undefined)
    },
  }
}

async function judgeOnce({ client, another, prefix, context }: GateOptions): Promise<Verdict> {
  const verdicts = openVerdicts(client.settings, context)
  if (verdicts.passed() !== null) return { ok: true }
  const verdict = await probe({ client, another, prefix, ids: context.ids })
  if (verdict.ok) await verdicts.keep()
  return verdict
}

async function refused(client: S3Client, saw: string): Promise<BlobsError> {
  const { bucket, endpoint } = client.settings
  const versioned = (await client.versioning().catch(() => null)) === 'on'
  return new BlobsError('Refused', `S3 bucket ${bucket} at ${endpoint} does not keep several writers apart: ${saw}`, {
    hint: `${versioned ? 'it keeps versions, with which some services ignore conditions: take a bucket without · ' : ''}if no other program ever writes there: --single-writer`,
  })
}

function risk({ settings }: S3Client, saw: string): string {
  return `S3 bucket ${settings.bucket} does not keep several writers apart (${saw}). A lease there says that this program writes: one that does not look at it, or whose connection hangs for minutes, can overwrite what others wrote`
}
