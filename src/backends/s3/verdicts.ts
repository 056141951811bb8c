import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeAtomically } from '../../platform/atomic-write.ts'
import { makePrivate } from '../../platform/directories.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import type { BackendContext } from '../../store/ports.ts'
import type { S3Settings } from './settings.ts'

/** Milliseconds that a good verdict holds: services are updated, buckets get other settings. */
const HOLDS = 30 * 86_400_000

/** What this machine knows of a bucket. */
export interface Verdicts {
  /** When it passed the probe last, milliseconds since 1970; null if never, or too long ago. */
  passed(): number | null
  /** Kept for the next process; where that cannot be, it is asked anew. */
  keep(): Promise<void>
}

export function openVerdicts(
  { bucket, endpoint }: S3Settings,
  { stateDirectory, clock, ids }: Pick<BackendContext, 'stateDirectory' | 'clock' | 'ids'>,
): Verdicts {
  const path = join(stateDirectory, 'probe.json')
  return {
    passed: () => {
      const kept = readKept(path)
      if (kept?.bucket !== bucket || kept.endpoint !== endpoint || typeof kept.passed !== 'number') return null
      const age = clock.now() - kept.passed
      return age >= 0 && age < HOLDS ? kept.passed : null
    },
    keep: async () => {
      const text = `${JSON.stringify({ format: 1, bucket, endpoint, passed: clock.now() })}\n`
      try {
        makePrivate(stateDirectory)
        await writeAtomically(systemFileSystem(), ids, path, piece(text))
      } catch {
        // A read-only disk, perhaps.
      }
    },
  }
}

async function* piece(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

function readKept(path: string): Record<string, unknown> | null {
  try {
    const kept: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof kept === 'object' && kept !== null ? (kept as Record<string, unknown>) : null
  } catch {
    return null
  }
}
