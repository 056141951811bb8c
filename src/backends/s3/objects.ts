import { momentOf, since } from '../../platform/moment.ts'
import type { Clock } from '../../platform/ports.ts'
import { eachOf } from '../../store/objects/each.ts'
import { MOVED_WITHIN, type Objects } from '../../store/objects/objects.ts'
import type { S3Client } from './client.ts'
import type { Gate } from './gate.ts'
import { openRecent } from './recent.ts'

/** Requests at the same time. */
export const AT_ONCE = 48
/** Objects that are moved together. */
const MOVED_TOGETHER = 500
/** Milliseconds: a removal that is tried again ends well before `MOVED_WITHIN`. */
const REMOVED_WITHIN = MOVED_WITHIN / 2

export interface S3ObjectsOptions {
  /** Closed with the objects. */
  readonly client: S3Client
  /** What all names here start with: '' or ends with a slash. */
  readonly prefix: string
  /** Asked before anything is written. Closed with the objects. */
  readonly gate: Gate
  readonly clock: Clock
}

/**
 * Objects of an S3 bucket. Who makes a name is decided by the service, by a conditional write; where it cannot, and one program has the place
 * for itself, by a look before the write.
 */
export function openS3Objects({ client, prefix, gate, clock }: S3ObjectsOptions): Objects {
  const keyOf = (name: string): string => prefix + name
  const recent = openRecent(clock)
  const oneByOne = openTurns()
  return {
    create: async (name, bytes) => {
      const key = keyOf(name)
      if ((await gate.enter()) === 'alone') {
        return oneByOne(async () => {
          if ((await client.head(key)) !== null) return false
          await client.put(key, bytes)
          recent.saw(name, bytes)
          return true
        })
      }
      const { made, doubtful } = await client.put(key, bytes, { ifAbsent: true })
      if (made) recent.saw(name, bytes)
      if (made || !doubtful) return made
      const there = await client.get(key)
      return there !== null && there.bytes.equals(bytes)
    },
    createAll: async (objects) => {
      await gate.enter()
      // Their names tell their bytes: who writes one again changes nothing but its age, which is what sweeping goes by.
      await eachOf(objects, AT_ONCE, async ({ name, bytes }) => {
        await client.put(keyOf(name), bytes)
        recent.saw(name)
      })
    },
    read: async (name) => {
      const kept = recent.bytesOf(name)
      if (kept !== null) return kept
      const there = await client.get(keyOf(name))
      if (there !== null) recent.saw(name, there.bytes)
      return there?.bytes ?? null
    },
    missing: async (names) => {
      const unknown = names.filter((name) => !recent.isThere(name))
      const missing = new Set(await findMissing(client, prefix, unknown))
      for (const name of unknown) if (!missing.has(name)) recent.saw(name)
      return unknown.filter((name) => missing.has(name))
    },
    list: async function* ({ prefix: start, after = '' }) {
      for await (const batch of client.list({ prefix: prefix + start, startAfter: after === '' ? '' : keyOf(after) })) {
        yield batch.map(({ key, size, modified }) => ({ name: key.slice(prefix.length), size, modified }))
      }
    },
    move: async (moves) => {
      await gate.enter()
      const began = momentOf(clock)
      const isLate = (): boolean => since(clock, began) > REMOVED_WITHIN
      const moved: number[] = []
      for (let at = 0; at < moves.length && !isLate(); at += MOVED_TOGETHER) {
        const some = [...moves.entries()].slice(at, at + MOVED_TOGETHER)
        const copied = await eachOf(some, AT_ONCE, ([, { from, to }]) => client.copy(keyOf(from), keyOf(to)))
        const gone = some.filter((_, index) => copied[index])
        for (const [, { from }] of gone) recent.forget(from)
        // What was copied stays by both names: the next who sweeps sees to that.
        if (isLate()) break
        await client.removeAll(gone.map(([, { from }]) => keyOf(from)))
        moved.push(...gone.map(([index]) => index))
      }
      return moved
    },
    now: async () => {
      const { date } = await client.page({ prefix, limit: 1 })
      return Number.isNaN(date) ? clock.now() : date
    },
    remove: async (names) => {
      await gate.enter()
      for (const name of names) recent.forget(name)
      await client.removeAll(names.map(keyOf))
    },
    close: async () => {
      await gate.close()
      client.close()
    },
  }
}

/** Between a look and the write that follows, nothing else of this program may be written. */
function openTurns(): <T>(act: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (act) => {
    const turn = last.then(act, act)
    last = turn
    return turn
  }
}

/** By looking at each, many at once; by listing while a page settles more of them than that would. */
async function findMissing(client: S3Client, prefix: string, names: readonly string[]): Promise<readonly string[]> {
  const sorted = [...names].sort()
  const there = new Set<string>()
  let settled = 0
  while (sorted.length - settled > 2 * AT_ONCE) {
    const common = prefix + commonStart(sorted[settled] ?? '', sorted.at(-1) ?? '')
    // Right before the first of them.
    const page = await client.page({ prefix: common, startAfter: `${prefix}${sorted[settled]?.slice(0, -1)}` })
    for (const { key } of page.objects) there.add(key.slice(prefix.length))
    const reached = page.objects.at(-1)?.key.slice(prefix.length) ?? ''
    const open = page.next === null ? -1 : sorted.findIndex((name) => name > reached)
    const before = settled
    settled = open === -1 ? sorted.length : Math.max(open, settled)
    if (settled - before < AT_ONCE) break
  }
  const looked = await eachOf(sorted.slice(settled), AT_ONCE, async (name) =>
    (await client.head(prefix + name)) === null ? name : '',
  )
  return [...sorted.slice(0, settled).filter((name) => !there.has(name)), ...looked.filter((name) => name !== '')]
}

function commonStart(a: string, b: string): string {
  let length = 0
  while (length < a.length && a[length] === b[length]) length += 1
  return a.slice(0, length)
}
