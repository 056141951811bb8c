import type { Ids } from '../../platform/ports.ts'
import { isBlobsError } from '../../store/contract/errors.ts'
import { eachOf } from '../../store/objects/each.ts'
import type { S3Client } from './client.ts'

/** Whether a service keeps several writers apart; if not, what it was that it did. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly saw: string }

/** What is looked at, in this order. */
export const CHECKS = [
  'a name that is taken is refused, and its bytes stay',
  'of 32 that create one name at once, exactly one does',
  'what was written is listed at once, and read by other connections',
  'a part of an object is read',
  'what was removed is gone',
] as const

const RACERS = 32
/** One race may go well by chance. */
const RACES = 2
/** Milliseconds after which what is there was left by a probe that was killed. */
const OLD = 3_600_000

export interface ProbeOptions {
  readonly client: S3Client
  /** One with connections of its own; closed here. */
  readonly another: () => Promise<S3Client>
  /** What all names start with: '' or ends with a slash. */
  readonly prefix: string
  readonly ids: Ids
}
interface Probing {
  readonly client: S3Client
  readonly other: S3Client
  readonly root: string
}
/** Each gives null if all is well, else what was seen; in the order of `CHECKS`. */
const ACTS: readonly ((probing: Probing) => Promise<string | null>)[] = [
  refusesTaken,
  hasOneWinner,
  showsAtOnce,
  readsParts,
  removes,
]

/**
 * Puts a service to the test with objects of its own below `PREFIXprobe/`, which it removes. Throws what stands in the way of the test itself,
 * as `Unavailable`, `Forbidden`.
 */
export async function probe({ client, another, prefix, ids }: ProbeOptions): Promise<Verdict> {
  const other = await another()
  const root = `${prefix}probe/${ids.next()}/`
  try {
    for (const act of ACTS) {
      const saw = await act({ client, other, root })
      if (saw !== null) return { ok: false, saw }
    }
    return { ok: true }
  } catch (error) {
    if (isBlobsError(error, 'NotSupported')) return { ok: false, saw: error.message }
    throw error
  } finally {
    other.close()
    // What cannot be removed now is removed by the next.
    await clear(client, `${prefix}probe/`, root).catch(() => undefined)
  }
}

async function refusesTaken({ client, other, root }: Probing): Promise<string | null> {
  const key = `${root}taken`
  const first = await client.put(key, Buffer.from('first'), { ifAbsent: true })
  if (!first.made && !first.doubtful) return 'it says that a name is taken which is not'
  const second = await other.put(key, Buffer.from('second'), { ifAbsent: true })
  if (second.made) return 'it ignores the condition of a write (If-None-Match: *), and replaces what is there'
  const bytes = (await client.get(key))?.bytes.toString()
  return bytes === 'first' ? null : 'it refuses to replace what is there, and does so all the same'
}

async function hasOneWinner({ client, other, root }: Probing): Promise<string | null> {
  for (let race = 0; race < RACES; race++) {
    const key = `${root}race-${race}`
    const racers = Array.from({ length: RACERS }, (_, index) => `racer ${index}`)
    const results = await eachOf(racers, RACERS, (racer) =>
      (racers.indexOf(racer) % 2 === 0 ? client : other).put(key, Buffer.from(racer), { ifAbsent: true }),
    )
    const winners = racers.filter((_, index) => results[index]?.made === true)
    // A lost answer may be that of the one who won.
    const doubtful = racers.filter((_, index) => results[index]?.doubtful === true)
    if (winners.length > 1)
      return `of ${RACERS} that created one name at once, ${winners.length} were told that they did`
    const bytes = (await other.get(key))?.bytes.toString() ?? ''
    if (!(winners.length === 1 ? winners : doubtful).includes(bytes)) {
      return `of ${RACERS} that created one name at once, none was told that its bytes are there`
    }
  }
  return null
}

async function showsAtOnce({ client, other, root }: Probing): Promise<string | null> {
  for (let n = 1; n <= 4; n++) {
    const key = `${root}listed-${n}`
    await client.put(key, Buffer.from(key), { ifAbsent: true })
    const page = await other.page({ prefix: `${root}listed-`, startAfter: `${root}listed-1` })
    const wanted = Array.from({ length: n - 1 }, (_, index) => `${root}listed-${index + 2}`)
    if (page.objects.map(({ key }) => key).join() !== wanted.join()) {
      return 'a listing does not show what was written right before it'
    }
    if ((await other.get(key))?.bytes.toString() !== key) return 'another connection does not read what was written'
  }
  return null
}

async function readsParts({ client, root }: Probing): Promise<string | null> {
  const key = `${root}part`
  await client.put(key, Buffer.from('0123456789'), { ifAbsent: true })
  const part = await client.get(key, { range: [2, 5] })
  return part?.bytes.toString() === '2345' ? null : 'it gives other bytes of an object than those that were asked for'
}

async function removes({ client, other, root }: Probing): Promise<string | null> {
  await client.removeAll([`${root}part`, `${root}taken`])
  const left = await Promise.all([other.head(`${root}part`), other.head(`${root}taken`)])
  return left.every((one) => one === null) ? null : 'what was removed is still there'
}

async function clear(client: S3Client, all: string, own: string): Promise<void> {
  const keys: string[] = []
  for await (const batch of client.list({ prefix: all })) {
    const there = Date.now() + (client.ahead() ?? 0)
    keys.push(
      ...batch.filter(({ key, modified }) => key.startsWith(own) || modified < there - OLD).map(({ key }) => key),
    )
  }
  await client.removeAll(keys)
}
