import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { EMPTY_HASH, sha256 } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type { ChangeInput, EntryInput, Expectation, Outcome } from '../../src/store/contract/types.ts'
import { decodeEntry, keyOf, type Entry } from '../../src/store/entry.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'
import { collect, newId, told } from './acts.ts'

interface Intent {
  readonly kind: 'put' | 'delete'
  readonly key: string
  readonly expect: 'any' | 'absent' | number
}
/** Entries of one commit call by one of the two writers; `repeat`: and once more the last one that it gave. */
interface Act {
  readonly writer: 0 | 1
  readonly entries: readonly (readonly Intent[])[]
  readonly repeat: boolean
}

const intent: fc.Arbitrary<Intent> = fc.record({
  kind: fc.constantFrom('put', 'put', 'delete'),
  key: fc.constantFrom('a', 'b', 'c'),
  expect: fc.oneof(fc.constantFrom('any' as const, 'absent' as const), fc.integer({ min: 1, max: 5 })),
})
const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    writer: fc.constantFrom(0 as const, 1 as const),
    entries: fc.array(fc.uniqueArray(intent, { selector: ({ key }) => key, minLength: 1, maxLength: 3 }), {
      minLength: 1,
      maxLength: 3,
    }),
    repeat: fc.boolean(),
  }),
  { minLength: 1, maxLength: 14 },
)

function change({ kind, key, expect }: Intent): ChangeInput {
  const expectation: Expectation = typeof expect === 'number' ? { version: expect } : expect
  if (kind === 'delete') return { type: 'delete', key, expect: expectation }
  const body = { depth: 0, refs: [] }
  return {
    type: 'put',
    key,
    expect: expectation,
    hash: EMPTY_HASH,
    size: 0,
    body,
    contentType: 'a/b',
    meta: { note: newId() },
  }
}

/** The rules of docs/entry-format.md in a few lines: the versions of each key, and which entries took effect. */
function model(log: readonly Entry[]) {
  const keys = new Map<string, { note: string | undefined; deleted: boolean; entry: string }[]>()
  const happened = new Map<string, boolean>()
  for (const entry of log) {
    if (happened.has(entry.id)) continue
    const holds = entry.changes.every((change) => {
      const versions = keys.get(keyOf(change)) ?? []
      if (change.expect === 'any') return true
      if (change.expect === 'absent') return versions.at(-1)?.deleted !== false
      return versions.length === change.expect.version
    })
    happened.set(entry.id, holds)
    for (const change of holds ? entry.changes : []) {
      const versions = keys.get(keyOf(change)) ?? []
      if ('delete' in change && versions.at(-1)?.deleted !== false) continue
      versions.push({
        note: 'put' in change ? change.meta['note'] : undefined,
        deleted: 'delete' in change,
        entry: entry.id,
      })
      keys.set(keyOf(change), versions)
    }
  }
  const items = [...keys]
    .sort()
    .flatMap(([key, versions]) => versions.map((version, index) => ({ key, version: index + 1, ...version })).reverse())
  return { items, happened }
}

async function shownBy(store: BlobStore) {
  const { items } = await store.list({ versions: true, deleted: true })
  return items.map(({ key, version, meta, deleted, entry }) => ({ key, version, note: meta['note'], deleted, entry }))
}

/** Everything that a store tells, to be compared. */
async function everything(store: BlobStore) {
  const feed = await collect(store.changes({}))
  return { info: await store.info(), page: await store.list({ deleted: true, digests: true }), feed }
}

async function openOne(
  backend: Backend,
  wrap: (ports: BucketPorts) => BucketPorts = (ports) => ports,
): Promise<BlobStore> {
  const ports = await backend.open('bucket')
  if (ports === null) throw new Error('no bucket')
  return openLogStore({
    name: 'bucket',
    ports: wrap(ports),
    viewDirectory: null,
    promises: backend.promises,
    clock,
    ids,
  })
}

async function readLog(backend: Backend): Promise<Entry[]> {
  const ports = await backend.open('bucket')
  const batches = await collect(ports?.log.read({ after: 0 }) ?? none())
  return batches.flat().map((raw) => decodeEntry(raw) as Entry)
}

async function* none(): AsyncGenerator<never, void> {}

it('two stores over one log, however their steps interleave, agree with each other, with a model and with one made from scratch', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), acts, async (scheduler, script) => {
      const backend = openMemory()
      await backend.create('bucket')
      await (await openOne(backend)).close()
      const slowly = ({ log, content }: BucketPorts): BucketPorts => ({
        content,
        log: {
          ...log,
          append: async (entries) => (await scheduler.schedule(Promise.resolve(), 'append'), log.append(entries)),
          read: async function* (options) {
            await scheduler.schedule(Promise.resolve(), 'read')
            yield* log.read(options)
          },
        },
      })
      const opening = Promise.all([openOne(backend, slowly), openOne(backend, slowly)])
      const stores = await scheduler.waitFor(opening)
      const given: [EntryInput[], EntryInput[]] = [[], []]
      const outcomes = new Map<string, Outcome>()
      const run = async ({ writer, entries, repeat }: Act): Promise<void> => {
        const inputs = entries.map((intents): EntryInput => ({ id: newId(), changes: intents.map(change) }))
        const again = repeat ? given[writer].slice(-1) : []
        given[writer].push(...inputs)
        for (const outcome of await stores[writer].commit([...again, ...inputs])) {
          // A refusal that was seen beforehand is not in the log, so a repeat may find that it can be done now.
          const before = outcomes.get(outcome.id)
          if (before?.ok === true) expect(outcome).toEqual(before)
          outcomes.set(outcome.id, outcome)
        }
      }
      await scheduler.waitFor(Promise.all(script.map(run)))
      const all = await scheduler.waitFor(Promise.all([...stores, await openOne(backend)].map(everything)))
      expect(all[1]).toEqual(all[0])
      expect(all[2]).toEqual(all[0])
      const { items, happened } = model(await readLog(backend))
      expect(await scheduler.waitFor(shownBy(stores[0]))).toEqual(items)
      for (const [id, outcome] of outcomes) expect(happened.get(id) ?? false).toBe(outcome.ok)
    }),
    { numRuns: 150 },
  )
})

it('a view that reads entry by entry is the same as one that reads all at once', async () => {
  await fc.assert(
    fc.asyncProperty(acts, async (script) => {
      const backend = openMemory()
      await backend.create('bucket')
      const store = await openOne(backend)
      for (const { entries } of script) {
        await store.commit(entries.map((intents) => ({ id: newId(), changes: intents.map(change) })))
      }
      expect(await everything(await openOne(backend))).toEqual(await everything(store))
      expect((await collect(store.changes({}))).map(told).at(-1)).toBe('bookmark')
    }),
    { numRuns: 50 },
  )
})

it('raced entries are void for everybody', async () => {
  const backend = openMemory()
  await backend.create('bucket')
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const first = await openOne(backend)
  const second = await openOne(backend, ({ log, content }) => ({
    content,
    log: { ...log, append: async (entries) => (await held, log.append(entries)) },
  }))
  const input = (key: string): EntryInput => ({
    id: newId(),
    changes: [change({ kind: 'put', key, expect: 'absent' })],
  })
  const losing = { id: newId(), changes: [...input('k').changes, ...input('other').changes] }
  const late = second.commit([losing, input('fine')])
  const [won] = await first.commit([input('k')])
  release()
  const [lost, fine] = await late
  expect(lost).toMatchObject({
    ok: false,
    conflicts: [{ key: 'k', expected: 'absent', current: won?.ok === true ? won.blobs[0] : null }],
  })
  expect(fine?.ok).toBe(true)
  expect(await first.head('other')).toBeNull()
  expect(await first.commit([losing])).toEqual([lost])
  expect(sha256(new Uint8Array())).toBe(EMPTY_HASH)
})
