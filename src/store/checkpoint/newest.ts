import type { Hash } from '../../content/hash.ts'
import { BlobsError } from '../contract/errors.ts'
import type { BucketPorts, Log } from '../ports.ts'
import type { Summary } from '../view/start.ts'
import { PageLost, readRoot } from './page.ts'

/** A checkpoint whose root was read. */
export interface KnownCheckpoint {
  readonly root: Hash
  readonly summary: Summary
}

/** Null if there is none, or it cannot be read and is not needed, the log being whole. Throws `Corrupt` if it is. */
export async function newestCheckpoint({ log, content }: BucketPorts): Promise<KnownCheckpoint | null> {
  const newest = (await log.trimming?.checkpoint()) ?? null
  if (newest === null) return null
  try {
    return { root: newest.root, summary: await readRoot(content, newest.root) }
  } catch (error) {
    if (!(error instanceof PageLost)) throw error
    if (await isTrimmed(log)) throw lostCheckpoint(error)
    return null
  }
}

/** Id of the first entry of a log, which may be trimmed away; null if it never had one. */
export async function epochOf(ports: BucketPorts, newest?: KnownCheckpoint | null): Promise<string | null> {
  const known = newest === undefined ? await newestCheckpoint(ports) : newest
  if (known !== null) return known.summary.epoch
  for await (const batch of ports.log.read({ after: 0 })) {
    const first = batch[0]
    if (first !== undefined) return first.id
  }
  return null
}

export async function isTrimmed({ trimming }: Log): Promise<boolean> {
  return trimming !== undefined && (await trimming.floor()) > 0
}

/** The log alone does not tell any more what the bucket holds. */
export function lostCheckpoint(cause: unknown): BlobsError {
  const why = cause instanceof Error ? `: ${cause.message}` : ''
  return new BlobsError(
    'Corrupt',
    `the log was trimmed, and what it held before cannot be read from its checkpoint${why}`,
    {
      cause,
      hint: 'restore the place from a backup, or copy the bucket from another place',
    },
  )
}
