import type { Ids } from '../../platform/ports.ts'
import type { Position, RawEntry } from '../../store/ports.ts'
import { API, apiCodeOf } from './failures.ts'
import type { JetStream, Published } from './jetstream.ts'

/** Header that holds the id of an entry. */
export const ENTRY = 'Blobs-Entry'
/** Entries under way at the same time. */
const MOST = 256
const FEWEST = 4
const MOST_BYTES = 4 * 1024 * 1024

export interface AppendTarget {
  readonly js: JetStream
  readonly ids: Ids
  readonly stream: string
  readonly subject: string
  /** Throws `NotFound` once the bucket is removed. */
  readonly present: () => Promise<void>
}

interface Sending {
  readonly entry: RawEntry
  /** Names this entry of this call, so that what is sent again after a lost answer is stored once. */
  readonly once: string
}

/**
 * Appends in order. The first entry goes wherever the log ends; those behind it are sent together, each under the condition that it comes
 * right after the one before: so what is stored is a beginning of what was given, whenever it breaks off. Where another writer
 * comes between, the rest starts anew behind that.
 */
export async function appendInOrder(target: AppendTarget, entries: readonly RawEntry[]): Promise<readonly Position[]> {
  const call = target.ids.next()
  const sending = entries.map((entry, index): Sending => ({ entry, once: `${call}-${index}` }))
  const positions: Position[] = []
  let most = MOST
  let whole = false
  while (positions.length < sending.length) {
    const some = group(sending, positions.length, most)
    const stored = await sendChain(target, some, whole ? (sending[positions.length - 1] ?? null) : null)
    positions.push(...stored)
    whole = stored.length === some.length
    if (!whole) most = Math.max(FEWEST, most >> 1)
  }
  return positions
}

function group(sending: readonly Sending[], from: number, most: number): readonly Sending[] {
  const some = sending.slice(from, from + most)
  let bytes = 0
  const end = some.findIndex(({ entry }, index) => (bytes += entry.data.length) > MOST_BYTES && index > 0)
  return end < 0 ? some : some.slice(0, end)
}

/** Positions of those that were stored: the first wherever the log ends if nothing is `before` it, each other right behind its neighbour. */
async function sendChain(
  target: AppendTarget,
  some: readonly Sending[],
  before: Sending | null,
): Promise<readonly Position[]> {
  const sent = await Promise.allSettled(some.map((one, index) => send(target, one, some[index - 1] ?? before)))
  const positions: Position[] = []
  for (const result of sent) {
    if (result.status === 'rejected') {
      const code = apiCodeOf(result.reason)
      if (code !== API.wrongLastMessage) throw result.reason
      break
    }
    positions.push(result.value.sequence)
  }
  return positions
}

function send(target: AppendTarget, { entry, once }: Sending, before: Sending | null): Promise<Published> {
  const { js, stream, subject, present } = target
  const headers: Record<string, string> = { [ENTRY]: entry.id }
  if (before !== null) headers['Nats-Expected-Last-Msg-Id'] = before.once
  return js.publish({ stream, subject, data: entry.data, headers, once }, present)
}
