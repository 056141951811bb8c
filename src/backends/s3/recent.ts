import type { Clock } from '../../platform/ports.ts'

/** Milliseconds for which what this program wrote or saw is taken to be there still. */
const THERE = 10_000
/** Milliseconds for which bytes are given again: a bucket may be put back to an older copy while it is used. */
const SAME = 2000
/** Bytes of one object that are kept, and how many objects. */
const LARGEST = 64 * 1024
const NAMES = 4096
const BODIES = 64

/** What was written or read a moment ago: objects do not change, and who has just written one asks for it right away. */
export interface Recent {
  saw(name: string, bytes?: Uint8Array): void
  /** True for a chunk or a bucket that was there a moment ago. */
  isThere(name: string): boolean
  /** Bytes of a part of a log; the caller's own. Null if they are not kept. */
  bytesOf(name: string): Buffer | null
  forget(name: string): void
}

export function openRecent(clock: Clock): Recent {
  const seen = new Map<string, number>()
  const bodies = new Map<string, { readonly at: number; readonly bytes: Buffer }>()
  return {
    saw: (name, bytes) => {
      const now = clock.elapsed()
      if (!isLog(name)) return keep(seen, name, now, NAMES)
      if (bytes !== undefined && bytes.length <= LARGEST)
        keep(bodies, name, { at: now, bytes: Buffer.from(bytes) }, BODIES)
    },
    isThere: (name) => clock.elapsed() - (seen.get(name) ?? Number.NEGATIVE_INFINITY) < THERE,
    bytesOf: (name) => {
      const kept = bodies.get(name)
      return kept !== undefined && clock.elapsed() - kept.at < SAME ? Buffer.from(kept.bytes) : null
    },
    forget: (name) => {
      seen.delete(name)
      bodies.delete(name)
    },
  }
}

function isLog(name: string): boolean {
  return name.includes('/log/')
}

function keep<T>(map: Map<string, T>, name: string, value: T, most: number): void {
  map.delete(name)
  map.set(name, value)
  const [oldest] = map.keys()
  if (map.size > most && oldest !== undefined) map.delete(oldest)
}
