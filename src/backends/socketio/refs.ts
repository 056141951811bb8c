import type { Clock } from '../../platform/ports.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import type { Line } from './line.ts'
import type { Lines } from './lines.ts'

/**
 * Most bytes of a value: in base64, with what is around it, they fit into a packet of 1,000,000 bytes, over which the server ends the
 * connection without a word.
 */
export const MOST_BYTES = 749_900
/** How often an act is tried whose connection ends in the middle. */
const TRIES = 4
/** Milliseconds until what seems to be missing is asked for once more: a server that was killed brings it back then. */
const SECOND_LOOK = 50

/** What stands at a reference. */
export interface Value {
  readonly version: number
  /** The caller's own memory; null where only the version was asked for, and for a value without data. */
  readonly bytes: Uint8Array | null
}

/** The values of the server, one at each reference (64 lower-case hex digits). */
export interface Refs {
  /** Null if there is none: the server says so too of a value whose file it cannot read. */
  read(ref: string): Promise<Value | null>
  /** The same for what is known to have been there: a null is asked for twice. */
  readKnown(ref: string): Promise<Value | null>
  /** As `read`, without the bytes if the version is 1. */
  probe(ref: string): Promise<Value | null>
  /**
   * Sets the first version, if there is none yet; else, with nothing done, what is there. After a connection that ended in the middle,
   * what is there may be of this very call. At least one byte, at most `MOST_BYTES`.
   */
  create(ref: string, bytes: Uint8Array): Promise<Value | null>
  /** Sets the version after `version` of what is there. */
  replace(ref: string, bytes: Uint8Array, version: number): Promise<SetAnswer>
}
type SetAnswer =
  | { readonly made: true; readonly version: number }
  /** Another version stood there. */
  | { readonly made: false; readonly current: Value }

export function openRefs(lines: Lines, clock: Clock): Refs {
  const get = (ref: string, what: { readonly known?: number }): Promise<Value | null> =>
    trying(() => lines.use(ref, async (line) => valueOf(await line.ask('get', what))))
  const readKnown = async (ref: string): Promise<Value | null> => {
    const first = await get(ref, {})
    if (first !== null) return first
    await clock.sleep(SECOND_LOOK)
    return get(ref, {})
  }
  return {
    read: (ref) => get(ref, {}),
    readKnown,
    probe: (ref) => get(ref, { known: 1 }),
    create: async (ref, bytes) => {
      const data = encode(bytes)
      for (let tries = 1; ; tries++) {
        try {
          const answer = await lines.use(ref, (line) => set(line, { data }))
          return answer.made ? null : answer.current
        } catch (error) {
          if (tries === TRIES || !isBlobsError(error, 'Unavailable')) throw error
        }
        // It may have been done all the same.
        const there = await get(ref, {})
        if (there !== null) return there
      }
    },
    replace: (ref, bytes, version) => lines.use(ref, (line) => set(line, { data: encode(bytes), version })),
  }
}

async function set(line: Line, what: { readonly data: string; readonly version?: number }): Promise<SetAnswer> {
  const answer = await line.ask('set', what)
  if (typeof answer === 'object' && answer !== null && 'success' in answer) {
    const value = valueOf(answer)
    if (value !== null)
      return answer.success === true ? { made: true, version: value.version } : { made: false, current: value }
  }
  throw strange(answer)
}

/** What ended with its connection is asked again on another. */
async function trying<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act()
  } catch (error) {
    if (!isBlobsError(error, 'Unavailable')) throw error
  }
  return act()
}

function encode(bytes: Uint8Array): string {
  if (bytes.length === 0 || bytes.length > MOST_BYTES) throw new RangeError(`a value of ${bytes.length} bytes`)
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

function valueOf(answer: unknown): Value | null {
  if (answer === null || answer === undefined) return null
  if (typeof answer !== 'object' || !('version' in answer) || !Number.isSafeInteger(answer.version))
    throw strange(answer)
  const data = 'data' in answer && typeof answer.data === 'string' ? answer.data : null
  return { version: Number(answer.version), bytes: data === null ? null : Uint8Array.from(Buffer.from(data, 'base64')) }
}

function strange(answer: unknown): BlobsError {
  const message = `the server gives an answer that is not of its protocol: ${JSON.stringify(answer)?.slice(0, 80)}`
  return new BlobsError('NotSupported', message, { hint: 'is it a server of versioned blobs by Socket.IO?' })
}
