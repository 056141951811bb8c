import type { IncomingMessage } from 'node:http'
import type { Clock } from '../platform/ports.ts'
import { after } from '../platform/timer.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { free } from '../store/contract/slabs.ts'
import type { Bounds } from './times.ts'

/** A body that did not come whole: `late` is answered, to one that was `cut` nobody listens. */
export class BodyBroken extends Error {
  readonly reason: 'late' | 'cut'

  constructor(reason: 'late' | 'cut', message: string) {
    super(message)
    this.name = 'BodyBroken'
    this.reason = reason
  }
}

export interface BodyRules {
  readonly maxBytes: number
  /** Milliseconds for the whole body; without it the body may take any time that is not too slow. */
  readonly total?: number
  /** A piece is to be used before the next is asked for: its memory is then given back at once. */
  readonly lent?: boolean
  /** Ends the reading with its reason. */
  readonly signal?: AbortSignal
}

interface Patience {
  readonly bounds: Pick<Bounds, 'bodyIdle' | 'bodyGrace' | 'slowest'>
  readonly clock: Clock
}

/**
 * The bytes of a request as they come. Only time spent waiting for the other side counts against it. Throws `TooLarge` (before
 * reading, where the length is declared), and `BodyBroken` when it is silent, too slow, or cut before its declared end.
 */
export async function* readBody(
  request: IncomingMessage,
  rules: BodyRules,
  { bounds, clock }: Patience,
): AsyncGenerator<Uint8Array, void, undefined> {
  refuseLarger(declaredLength(request) ?? 0, rules.maxBytes)
  const signals = ['readable', 'end', 'close', 'error'] as const
  let wake: () => void = () => undefined
  const onSignal = (): void => wake()
  for (const signal of signals) request.on(signal, onSignal)
  rules.signal?.addEventListener('abort', onSignal)
  let bytes = 0
  let waited = 0
  try {
    for (;;) {
      rules.signal?.throwIfAborted()
      const piece: Buffer | null = request.read()
      if (piece !== null) {
        bytes += piece.length
        refuseLarger(bytes, rules.maxBytes)
        yield piece
        if (rules.lent === true) free(piece)
        continue
      }
      if (request.readableEnded) break
      if (request.destroyed) throw new BodyBroken('cut', 'the connection ended in the middle of the body')
      const started = clock.elapsed()
      const left = Math.min(bounds.bodyIdle, (rules.total ?? Number.POSITIVE_INFINITY) - waited)
      await new Promise<void>((resolve) => {
        const cancel = after(clock, Math.max(left, 0), resolve)
        wake = () => {
          cancel()
          resolve()
        }
      })
      const took = clock.elapsed() - started
      waited += took
      rules.signal?.throwIfAborted()
      refuseSlow({ took, left, waited, bytes }, bounds)
    }
    if (!request.complete) throw new BodyBroken('cut', 'the body is shorter than it was said to be')
  } finally {
    for (const signal of signals) request.off(signal, onSignal)
    rules.signal?.removeEventListener('abort', onSignal)
  }
}

/** Null when the request does not say. */
export function declaredLength(request: IncomingMessage): number | null {
  const { 'content-length': length } = request.headers
  return length === undefined ? null : Number(length)
}

/** The whole body as text. */
export async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of body) pieces.push(piece)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces))
  } catch (cause) {
    throw new BlobsError('InvalidRequest', 'the body is not UTF-8', { cause })
  }
}

function refuseLarger(bytes: number, max: number): void {
  if (bytes <= max) return
  throw new BlobsError('TooLarge', `the body has more than ${max} bytes`, {
    hint: `at most ${max} bytes are taken in one request of this kind`,
  })
}

function refuseSlow(
  { took, left, waited, bytes }: { took: number; left: number; waited: number; bytes: number },
  { bodyGrace, slowest }: Pick<Bounds, 'bodyGrace' | 'slowest'>,
): void {
  if (took >= left) throw new BodyBroken('late', `nothing more of the body came for ${Math.round(took)} ms`)
  if (waited > bodyGrace && (bytes * 1000) / waited < slowest) {
    throw new BodyBroken('late', `the body comes at less than ${slowest} bytes a second`)
  }
}
