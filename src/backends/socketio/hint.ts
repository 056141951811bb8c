import { dirname } from 'node:path'
import { writeAtomically } from '../../platform/atomic-write.ts'
import { makePrivate } from '../../platform/directories.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import type { Ids } from '../../platform/ports.ts'
import type { End } from './places.ts'

/** Largest that is read. */
const MOST_BYTES = 1000

/** What this machine has seen of a bucket: where its log went on at least. */
export interface Hint extends End {
  /** The bucket's id. */
  readonly id: string
}

/** Null if there is none, or none that can be read. */
export function readHint(path: string): Hint | null {
  try {
    const bytes = systemFileSystem().readSmall(path, MOST_BYTES)
    const hint = bytes === null ? null : (JSON.parse(Buffer.from(bytes).toString()) as Partial<Hint> | null)
    const { id, place, next } = hint ?? {}
    if (typeof id !== 'string' || !isCount(place) || !isCount(next)) return null
    return { id, place, next }
  } catch {
    return null
  }
}

/** It only saves steps: where it cannot be written there is none. */
export async function writeHint(path: string, hint: Hint, ids: Ids): Promise<void> {
  try {
    makePrivate(dirname(path))
    const { id, place, next } = hint
    await writeAtomically(systemFileSystem(), ids, path, one(`${JSON.stringify({ id, place, next })}\n`))
  } catch {
    // A disk that is full, or read-only.
  }
}

async function* one(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}
