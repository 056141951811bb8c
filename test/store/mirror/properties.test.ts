import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { sha256 } from '../../../src/content/hash.ts'
import type { BlobStore, Buckets } from '../../../src/store/contract/blob-store.ts'
import { isBlobsError } from '../../../src/store/contract/errors.ts'
import type { EntryInput, FeedItem } from '../../../src/store/contract/types.ts'
import { bytesOf, collect, deleteChange, entry, putChange } from '../acts.ts'
import { Crash, openFuse, type Fuse } from './fuse.ts'
import { mirrorMachine, type MirrorMachine } from './machine.ts'
import { memoryPlace, writeThere, type MemoryBucket } from './memory-foreign.ts'

type Key = 'a' | 'b' | 'c/d'
type Act =
  /** By somebody else; `same`: the bytes that are there already. `half`: not whole yet. */
  | { readonly does: 'there'; readonly key: Key; readonly what: 'new' | 'same' | 'half' | 'gone' }
  | { readonly does: 'put'; readonly key: Key; readonly expect: 'any' | 'current' | 'absent'; readonly same: boolean }
  | { readonly does: 'delete'; readonly key: Key }
  | { readonly does: 'move'; readonly from: Key; readonly to: Key }
  | { readonly does: 'look' }
  | { readonly does: 'reopen' }
/** `crash`: the process ends after so many steps of the act. `meanwhile`: somebody else acts at a step of it. */
interface Turn {
  readonly act: Act
  readonly crash: number | null
  readonly meanwhile: { readonly step: number; readonly key: Key } | null
}

const key = fc.constantFrom<Key>('a', 'b', 'c/d')
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constant('there' as const),
      key,
      what: fc.constantFrom('new', 'new', 'same', 'half', 'gone'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('put' as const),
      key,
      expect: fc.constantFrom('any', 'current', 'absent'),
      same: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('delete' as const), key }) },
  { weight: 2, arbitrary: fc.record({ does: fc.constant('move' as const), from: key, to: key }) },
  { weight: 1, arbitrary: fc.constant({ does: 'look' as const }) },
  { weight: 1, arbitrary: fc.constant({ does: 'reopen' as const }) },
) as fc.Arbitrary<Act>
const turn = (interleaved: boolean): fc.Arbitrary<Turn> =>
  fc.record({
    act,
    crash: fc.option(fc.nat(25), { freq: 2 }),
    meanwhile: interleaved ? fc.option(fc.record({ step: fc.nat(25), key }), { freq: 2 }) : fc.constant(null),
  })

for (const compares of [true, false]) {
  const kind = compares ? 'several writers, kept apart by tags' : 'a single writer'
  it(`with ${kind}, whatever happens there, here, and between two steps: all is in step, told once, and never goes back`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(turn(compares), { minLength: 1, maxLength: 10 }), async (turns) => {
        const world = openWorld(compares)
        try {
          await world.start()
          for (const one of turns) await world.play(one)
          await world.check()
        } finally {
          await world.dispose()
        }
      }),
      { numRuns: 30, endOnFailure: true },
    )
  }, 120_000)
}

interface World {
  start(): Promise<void>
  play(turn: Turn): Promise<void>
  check(): Promise<void>
  dispose(): Promise<void>
}

function openWorld(compares: boolean): World {
  const place = memoryPlace({ compares })
  const machine = mirrorMachine(place, { inMemory: true })
  const fuse = openFuse()
  let steps = 0
  let meanwhile: Turn['meanwhile'] = null
  let texts = 0
  /** Texts that each were written once, by whom. */
  const mine = new Set<string>()
  const acknowledged = new Set<string>()
  /** Acts that may write bytes once more that were there before. */
  let repeats = 0
  let open: { readonly buckets: Buckets; readonly store: BlobStore } | null = null
  let history: FeedItem[] = []
  const bucket = (): MemoryBucket => {
    const found = place.buckets.get('bucket')
    if (found === undefined) throw new Error('the bucket is gone')
    return found
  }
  place.step = () => {
    fuse.step()
    if (meanwhile === null || steps++ !== meanwhile.step) return
    writeThere(bucket(), meanwhile.key, `theirs ${texts++}`)
  }
  const reopen = async (): Promise<BlobStore> => {
    fuse.reset()
    await open?.buckets.close().catch(unlessDead)
    const buckets = openBuckets(machine, fuse)
    open = { buckets, store: await buckets.open('bucket') }
    return open.store
  }
  const store = async (): Promise<BlobStore> => open?.store ?? reopen()
  const commit = async (input: EntryInput, text: string | null): Promise<void> => {
    for (let tries = 0; tries < 3; tries++) {
      try {
        const [outcome] = await (await store()).commit([input])
        if (outcome?.ok === true && text !== null) acknowledged.add(text)
        return
      } catch (error) {
        // What is half there by somebody else is not written over.
        if (isBlobsError(error, 'Unavailable') && !isDead(error)) return
        unlessDead(error)
        await reopen()
      }
    }
    throw new Error('a commit does not come to an end')
  }
  const inputOf = async (act: Act): Promise<{ readonly input: EntryInput; readonly text: string | null } | null> => {
    const now = await store()
    if (act.does === 'move' || (act.does === 'put' && act.same)) repeats += 1
    if (act.does === 'put') {
      const current = await now.head(act.key)
      const old = act.same && current?.deleted === false ? ((await bytesOf(now, act.key))?.toString() ?? null) : null
      const text = old ?? `mine ${texts++}`
      if (old === null) mine.add(text)
      const currently = current === null ? 'absent' : { version: current.version }
      const expected = act.expect === 'current' ? currently : act.expect
      return {
        input: entry(await putChange(now, act.key, text, { expect: expected })),
        text: old === null ? text : null,
      }
    }
    if (act.does === 'delete') return { input: entry(deleteChange(act.key)), text: null }
    if (act.does !== 'move' || act.from === act.to) return null
    const from = await now.head(act.from)
    if (from === null || from.deleted) return null
    const copy = { key: act.from, version: from.version }
    const { hash, size } = from
    return {
      input: entry(
        { type: 'put', key: act.to, expect: 'any', hash, size, body: { copy }, contentType: 'a/b', meta: {} },
        deleteChange(act.from, { version: from.version, hash }),
      ),
      text: null,
    }
  }
  return {
    start: async () => {
      const buckets = openBuckets(machine, fuse)
      await buckets.create('bucket')
      await buckets.close()
    },
    play: async (turn) => {
      if (turn.act.does === 'there') {
        change(bucket(), turn.act, () => `theirs ${texts++}`)
        return
      }
      const prepared = await inputOf(turn.act)
      steps = 0
      meanwhile = turn.meanwhile
      if (turn.crash !== null) fuse.light(turn.crash)
      if (turn.act.does === 'reopen') await reopen()
      else if (prepared !== null) await commit(prepared.input, prepared.text)
      else await (await store()).info().catch(unlessDead)
      meanwhile = null
      if (turn.crash !== null) await reopen()
      const after = await collect((await store()).changes({}))
      checkGoesOn(history, after)
      history = after
      await checkInStep(await store(), bucket())
    },
    check: async () => {
      const now = await reopen()
      await checkInStep(now, bucket())
      const items = await collect(now.changes({}))
      checkGoesOn(history, items)
      checkOnce(items, mine, acknowledged, repeats)
      const { head } = await now.info()
      const again = await reopen()
      expect((await again.info()).head, 'looking again finds nothing new').toBe(head)
    },
    dispose: async () => {
      fuse.reset()
      await machine.dispose()
    },
  }
}

function openBuckets(machine: MirrorMachine, fuse: Fuse): Buckets {
  return machine.open({ disk: fuse.disk }, fuse.shadow)
}

function change(bucket: MemoryBucket, { key, what }: Extract<Act, { does: 'there' }>, text: () => string): void {
  const old = bucket.blobs.get(key)
  if (what === 'gone') writeThere(bucket, key, null)
  else if (what === 'same') {
    if (old !== undefined && old.size === old.bytes.length) writeThere(bucket, key, old.bytes.toString())
  } else writeThere(bucket, key, text(), what === 'half' ? 10 : 0)
}

/** What is whole there is what the bucket has; of what is half there nothing is said. */
async function checkInStep(store: BlobStore, bucket: MemoryBucket): Promise<void> {
  const { items } = await store.list()
  for (const { key, hash } of items) {
    const blob = bucket.blobs.get(key)
    expect(blob, `${key} is gone there`).toBeDefined()
    if (blob !== undefined && blob.size === blob.bytes.length) expect(hash).toBe(sha256(blob.bytes))
  }
  const keys = new Set(items.map((item) => item.key))
  for (const [name, blob] of bucket.blobs) if (blob.size === blob.bytes.length) expect(keys).toContain(name)
}

/** What was told once stays told, in the same order. */
function checkGoesOn(before: readonly FeedItem[], after: readonly FeedItem[]): void {
  const versions = (items: readonly FeedItem[]): readonly FeedItem[] => items.filter(({ type }) => type !== 'bookmark')
  expect(versions(after).slice(0, versions(before).length)).toEqual(versions(before))
}

/** What we wrote is one version by us, not two, and not none if it was acknowledged. What came from there is never told twice in a row. */
function checkOnce(
  items: readonly FeedItem[],
  mine: ReadonlySet<string>,
  acknowledged: ReadonlySet<string>,
  repeats: number,
): void {
  const ours = new Set(Array.from(mine, (text) => sha256(Buffer.from(text))))
  const last = new Map<string, string>()
  const puts = new Map<string, number>()
  for (const item of items) {
    if (item.type === 'bookmark') continue
    if (item.author === 'unknown' && item.type === 'put')
      expect(last.get(item.key), `${item.key} twice`).not.toBe(item.hash)
    last.set(item.key, item.hash)
    if (item.type === 'put' && !puts.has(item.hash) && ours.has(item.hash)) {
      expect(item.author, `who wrote ${item.key} version ${item.version}`).toBe('')
    }
    if (item.type === 'put') puts.set(item.hash, (puts.get(item.hash) ?? 0) + 1)
  }
  let doubled = 0
  for (const text of mine) {
    const count = puts.get(sha256(Buffer.from(text))) ?? 0
    if (acknowledged.has(text)) expect(count, text).toBeGreaterThan(0)
    doubled += Math.max(0, count - 1)
  }
  expect(doubled).toBeLessThanOrEqual(repeats)
}

function unlessDead(error: unknown): void {
  if (!isDead(error)) throw error
}

function isDead(error: unknown): boolean {
  return error instanceof Crash || (isBlobsError(error) && error.cause instanceof Crash)
}
