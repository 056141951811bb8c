import { openObjectBackend } from '../../src/store/objects/backend.ts'
import type { Objects } from '../../src/store/objects/objects.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { Backend } from '../../src/store/ports.ts'

/** What was asked of a place. */
interface Counts {
  /** Calls that read: of objects, of lists (one a thousand names), of what is missing. */
  reads: number
  /** Of the objects that were read. */
  bytes: number
}

/** A place of objects in memory. */
export interface CountedPlace {
  open(): Backend
  readonly counts: Counts
  /** Its objects, by name. */
  readonly objects: Map<string, Uint8Array>
}

export function openCountedPlace(): CountedPlace {
  const objects = new Map<string, Uint8Array>()
  const counts: Counts = { reads: 0, bytes: 0 }
  let names: string[] | null = null
  const sorted = (): readonly string[] => {
    if (names?.length !== objects.size) names = null
    return (names ??= [...objects.keys()].sort())
  }
  const create = (name: string, bytes: Uint8Array): boolean => {
    if (objects.has(name)) return false
    objects.set(name, new Uint8Array(bytes))
    names = null
    return true
  }
  const place: Objects = {
    create: async (name, bytes) => create(name, bytes),
    createAll: async (all) => all.forEach(({ name, bytes }) => create(name, bytes)),
    read: async (name) => {
      const bytes = objects.get(name)
      counts.reads += 1
      counts.bytes += bytes?.length ?? 0
      return bytes === undefined ? null : new Uint8Array(bytes)
    },
    missing: async (asked) => {
      counts.reads += 1
      return asked.filter((name) => !objects.has(name))
    },
    list: async function* ({ prefix, after = '' }) {
      const found = sorted().filter((name) => name.startsWith(prefix) && name > after)
      for (let at = 0; at === 0 || at < found.length; at += 1000) {
        counts.reads += 1
        const some = found.slice(at, at + 1000)
        if (some.length > 0) yield some.map((name) => ({ name, size: objects.get(name)?.length ?? 0, modified: 0 }))
      }
    },
    move: async (moves) => {
      for (const { from, to } of moves) {
        create(to, objects.get(from) ?? Buffer.of())
        objects.delete(from)
      }
      names = null
      return [...moves.keys()]
    },
    now: async () => clock.now(),
    remove: async (gone) => {
      for (const name of gone) objects.delete(name)
      names = null
    },
    close: async () => undefined,
  }
  const promises = {
    name: 'counted',
    durability: 'process',
    maxEntryBytes: 1024 * 1024,
    live: 'polled',
    cannot: {},
  } as const
  return {
    counts,
    objects,
    open: () =>
      openObjectBackend({
        objects: place,
        promises,
        viewDirectory: null,
        clock,
        ids,
        parallel: 16,
        maxFrameBytes: 8 * 1024 * 1024,
        looks: [5, 50],
      }),
  }
}

/** Fills a new bucket with so many keys, by entries of `each` changes. */
export async function fillBucket(
  append: (texts: readonly { readonly id: string; readonly text: object }[]) => Promise<unknown>,
  keys: number,
  each: number,
): Promise<void> {
  let batch: { id: string; text: object }[] = []
  for (let at = 0; at < keys; at += each) {
    const id = ids.next()
    const changes = Array.from({ length: Math.min(each, keys - at) }, (_, index) => {
      const hash = ids.next() + ids.next()
      const key = `folder ${(at + index) % 997}/some file ${at + index}.txt`
      return { put: key, expect: 'any', hash, size: 100, depth: 0, refs: [[hash, 100]], type: 'text/plain', meta: {} }
    })
    batch.push({ id, text: { v: 1, id, time: clock.now(), author: 'ann', device: 'laptop', changes, based: 1 } })
    if (batch.length * each < 10_000 && at + each < keys) continue
    await append(batch)
    batch = []
  }
}
