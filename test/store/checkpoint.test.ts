import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { EMPTY_HASH } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import type { ChangeInput, EntryInput, ListOptions } from '../../src/store/contract/types.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'
import { present } from '../backends/conformance.ts'
import { collect, newId } from './acts.ts'

/** So small that a few entries make trees of several levels. */
const PAGES = { least: 150, around: 150, most: 2000 }

interface Intent {
  readonly kind: 'put' | 'delete'
  readonly key: string
  readonly expect: 'any' | 'absent' | number
}
interface Act {
  readonly entries: readonly (readonly Intent[])[]
  readonly operation: boolean
  /** Sends the last entry of the act before once more, in vain or not. */
  readonly repeat: boolean
  readonly configure: boolean
  /** Writes a checkpoint afterwards. */
  readonly checkpoint: boolean
}

const KEYS = ['a', 'a/b', 'a/c', 'b', 'dir/1', 'dir/2', 'dir/deep/1', 'dir2/x', 'e', 'é', '𝒳', 'z/', '～']
const intent: fc.Arbitrary<Intent> = fc.record({
  kind: fc.constantFrom('put', 'put', 'put', 'delete'),
  key: fc.constantFrom(...KEYS),
  expect: fc.oneof({ weight: 3, arbitrary: fc.constant('any' as const) }, fc.constant('absent' as const), fc.nat(3)),
})
const acts: fc.Arbitrary<Act[]> = fc.array(
  fc.record({
    entries: fc.array(fc.uniqueArray(intent, { selector: ({ key }) => key, minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 4,
    }),
    operation: fc.boolean(),
    repeat: fc.boolean(),
    configure: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    checkpoint: fc.integer({ min: 0, max: 4 }).map((n) => n === 0),
  }),
  { minLength: 1, maxLength: 20 },
)

function change({ kind, key, expect: expected }: Intent): ChangeInput {
  const expectation = typeof expected === 'number' ? { version: expected + 1 } : expected
  if (kind === 'delete') return { type: 'delete', key, expect: expectation }
  const body = { depth: 0, refs: [] }
  const meta = { note: newId() }
  return { type: 'put', key, expect: expectation, hash: EMPTY_HASH, size: 0, body, contentType: 'a/b', meta }
}

function entryOf(intents: readonly Intent[], operation: boolean): EntryInput {
  const group = operation ? { operation: `laptop.${intents.length}` } : {}
  return { id: newId(), changes: intents.map(change), author: 'ann', ...group }
}

const openPorts = async (backend: Backend): Promise<BucketPorts> => present(await backend.open('bucket'))

type LogStore = Awaited<ReturnType<typeof openLogStore>>

async function openStore(ports: BucketPorts): Promise<LogStore> {
  const { promises } = openMemory()
  return openLogStore({ name: 'bucket', ports, viewDirectory: null, promises, clock, ids, pageSizes: PAGES })
}

/** As if there were no checkpoint: the log is read from its start. */
function plain({ log, content }: BucketPorts): BucketPorts {
  const { trimming: _, ...rest } = log
  return { log: rest, content }
}

/** Writes past the judge of the store, as a racing writer might: void entries and repeats get into the log. */
async function perform(store: LogStore, ports: BucketPorts, all: readonly Act[]): Promise<readonly EntryInput[]> {
  const given: EntryInput[] = []
  for (const { entries, operation, repeat, configure, checkpoint } of all) {
    const last = given.at(-1)
    const fresh = entries.map((intents) => entryOf(intents, operation))
    const raw = [...(repeat && last !== undefined ? [last] : []), ...fresh]
    given.push(...fresh)
    const { head } = await store.info()
    const based = Number(head.split(':')[1])
    await ports.log.append(
      raw.map(({ id, changes, author = '', operation: group }) => {
        const written = changes.map((one) => {
          if (one.type === 'delete') return { delete: one.key, expect: one.expect }
          const { key, expect: expected, hash, size, contentType: type, meta } = one
          return { put: key, expect: expected, hash, size, depth: 0, refs: [], type, meta }
        })
        const group1 = group === undefined ? {} : { operation: group }
        const text = { v: 1, id, time: based, author, device: 'laptop', ...group1, changes: written, based }
        return { id, data: Buffer.from(JSON.stringify(text)) }
      }),
    )
    if (configure) await store.configure({ maxBlobSize: given.length })
    if (checkpoint) await store.checkpoint()
  }
  return given
}

/** The first, one in the middle, and the last. */
function some<T>(all: readonly T[]): readonly T[] {
  return all.filter((_, index) => index === 0 || index === all.length >> 1 || index === all.length - 1)
}

type Question = (store: BlobStore) => Promise<unknown>

function questions(positions: readonly string[], given: readonly EntryInput[]): readonly Question[] {
  const listings: ListOptions[] = [
    {},
    { digests: true },
    { prefix: 'dir', deleted: true },
    { prefix: 'dir/' },
    { delimiter: '/' },
    { delimiter: '/', after: 'a/', limit: 2 },
    { after: 'b', limit: 3, deleted: true },
    { versions: true, deleted: true },
    { versions: true, prefix: 'a', limit: 4 },
    { versions: true, after: 'a\u00002' },
    { at: new Date(positions.length / 2).toISOString() },
    { at: new Date(positions.length / 3).toISOString(), deleted: true, delimiter: '/' },
    { prefix: 'nothing/' },
  ]
  return [
    (store) => store.info(),
    ...listings.map(
      (options): Question =>
        (store) =>
          store.list(options),
    ),
    ...KEYS.map(
      (key): Question =>
        (store) =>
          store.head(key),
    ),
    ...[1, 2, 3].map(
      (version): Question =>
        (store) =>
          store.head('a', { version }),
    ),
    (store) => collect(store.changes({})),
    (store) => collect(store.changes({ lastOf: 'laptop' })),
    ...positions.map(
      (since): Question =>
        (store) =>
          collect(store.changes({ since })),
    ),
    (store) => store.commit(given),
    ...given.map(
      (one): Question =>
        (store) =>
          store.commit([one]),
    ),
  ]
}

it('a view that starts from a checkpoint answers as one that read the whole log', async () => {
  await fc.assert(
    fc.asyncProperty(acts, fc.boolean(), async (all, trim) => {
      const backend = openMemory()
      await backend.create('bucket')
      const store = await openStore(await openPorts(backend))
      const ports = await openPorts(backend)
      const given = await perform(store, ports, all)
      await store.info()
      const whole = await openStore(plain(await openPorts(backend)))
      await whole.info()
      const found = await collect(store.changes({}))
      const positions = [...new Set(found.flatMap((item) => (item.type === 'bookmark' ? [] : [item.position])))]
      const floor = trim ? await store.trim({ positions: 2, time: 0 }) : 0
      const behind = (cursor: string): boolean => Number(cursor.split(':')[1]) < floor
      const asked = questions(
        positions.filter((cursor) => !behind(cursor)),
        given,
      )
      const kept = await openStore(await openPorts(backend))
      for (const [index, ask] of asked.entries()) {
        const expected = await ask(whole)
        const fresh = await openStore(await openPorts(backend))
        expect(await ask(fresh), `question ${index}`).toEqual(expected)
        expect(await ask(kept), `question ${index}, kept`).toEqual(expected)
        await fresh.close()
      }
      const [live] = (await whole.list()).items
      if (live !== undefined) {
        const { key, version } = live
        const edit = { id: newId(), changes: [change({ kind: 'put', key, expect: version - 1 })] }
        const fresh = await openStore(await openPorts(backend))
        const { head } = await whole.info()
        const vain = { id: newId(), changes: [change({ kind: 'put', key, expect: 'absent' })] }
        expect((await fresh.commit([vain]))[0]).toMatchObject({ ok: false, conflicts: [{ key, current: { version } }] })
        expect((await fresh.info()).head).toBe(head)
        expect((await fresh.commit([edit]))[0]).toMatchObject({ ok: true, blobs: [{ key, version: version + 1 }] })
        await fresh.close()
      }
      for (const since of some(positions.filter(behind))) {
        await expect(collect(kept.changes({ since }))).rejects.toMatchObject({ code: 'CursorExpired' })
      }
    }),
    { numRuns: Number(process.env['CHECKPOINT_RUNS'] ?? 20) },
  )
}, 60_000)

it('a writer writes a checkpoint by itself, now and then', async () => {
  const backend = openMemory()
  await backend.create('bucket')
  const { log } = await openPorts(backend)
  const checkpoint = async () => (await log.trimming?.checkpoint())?.position ?? null
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => entryOf([{ kind: 'put', key: `k${n % 50}`, expect: 'any' }], false))
  let store = await openStore(await openPorts(backend))
  await store.commit(many(900))
  await store.close()
  expect(await checkpoint()).toBeNull()
  store = await openStore(await openPorts(backend))
  await store.commit(many(1150))
  await store.close()
  expect(await checkpoint()).toBe(2051)
  store = await openStore(await openPorts(backend))
  await store.commit(many(999))
  await store.close()
  expect(await checkpoint()).toBe(2051)
})
