import { mkdirSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { FileSystem } from '../../src/platform/ports.ts'
import { openDatabase } from '../../src/platform/sqlite.ts'
import { systemIds } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { stageStream } from '../../src/store/contract/upload.ts'
import { pair, type SyncEvent } from '../../src/sync/agent.ts'
import { openRoot } from '../../src/sync/disk/marker.ts'
import { openDisk } from '../../src/sync/disk/transition.ts'
import { openSession, type Session } from '../../src/sync/session/session.ts'
import { approveHeld, heldDeletes } from '../../src/sync/state/held.ts'
import { prepareState, write } from '../../src/sync/state/open.ts'
import { counts } from '../../src/sync/state/rows.ts'
import { hastyClock as clock } from './world.ts'

interface Settings {
  /** Rows planned at once; null: as many as a user's. */
  readonly window?: number | null
  readonly wrap?: (store: BlobStore) => BlobStore
  readonly fs?: FileSystem
}

/** Sessions that plan seven rows at a time unless told otherwise, with their trees in memory, over the local backend. */
async function narrow(
  act: (
    session: (name: string, settings?: Settings) => Promise<Session>,
    at: (path: string) => string,
    store: BlobStore,
  ) => Promise<void>,
) {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'session-')))
  const buckets = openBuckets({
    backend: await openLocal({ directory: join(directory, 'store'), clock }),
    clock,
    ids: systemIds,
  })
  await buckets.create('team')
  const store = await buckets.open('team')
  const session = async (name: string, settings: Settings = {}): Promise<Session> => {
    const { window = 7, wrap = (same) => same, fs = systemFileSystem() } = settings
    const folder = join(directory, name)
    mkdirSync(folder, { recursive: true })
    const pairing = await pair(folder, { location: '', bucket: 'team', prefix: '' }, { fs, clock, ids: systemIds })
    const root = openRoot(fs, folder, pairing.id)
    const stateDirectory = join(directory, `${name}-state`)
    mkdirSync(stateDirectory, { recursive: true })
    const db = openDatabase(':memory:', { synchronous: 'normal' })
    expect(prepareState(fs, db, { device: name, folder, root })).toBeNull()
    const events: SyncEvent[] = []
    return openSession({
      fs,
      clock,
      ids: systemIds,
      db,
      root,
      disk: openDisk({ fs, root, stateDirectory, device: name, clock, ids: systemIds }),
      bucket: { store: wrap(store), prefix: '' },
      device: { id: name, name },
      traits: { caseBlind: false, windows: false },
      exclude: [],
      maxDelete: null,
      ...(window === null ? {} : { window }),
      onEvent: (event) => events.push(event),
    })
  }
  try {
    await act(session, (path) => join(directory, path), store)
  } finally {
    await store.close()
    await buckets.close()
    rmSync(directory, { recursive: true, force: true })
  }
}

const everything = { local: 'all', remote: true } as const

test('a plan of many windows is carried out whole', async () => {
  await narrow(async (session, at) => {
    const a = await session('a')
    for (let n = 0; n < 40; n++) writeFileSync(at(`a/file-${n}`), `number ${n}`)
    await a.cycle(everything)
    expect(counts(a.ports.db)).toMatchObject({ synced: 40, pending: { files: 0 } })
    const b = await session('b')
    await b.cycle(everything)
    expect(b.tally).toMatchObject({ downloaded: 40, uploaded: 0 })
  })
})

test('the brake counts the deletes of all windows, before the first is done', async () => {
  await narrow(async (session, at) => {
    const a = await session('a')
    for (let n = 0; n < 40; n++) writeFileSync(at(`a/file-${n}`), `number ${n}`)
    await a.cycle(everything)
    for (let n = 0; n < 30; n++) rmSync(at(`a/file-${n}`))
    await a.cycle(everything)
    expect(a.tally.deletedRemote).toBe(0)
    expect(heldDeletes(a.ports.db, 3)).toMatchObject([{ side: 'remote', count: 30 }])
    write(a.ports.db, () => approveHeld(a.ports.db))
    await a.cycle(everything)
    expect(a.tally.deletedRemote).toBe(30)
    expect(heldDeletes(a.ports.db, 3)).toEqual([])
  })
})

const MANY = 1600

function writeMany(folder: string): void {
  mkdirSync(folder, { recursive: true })
  for (let n = 0; n < MANY; n++) writeFileSync(join(folder, `file-${n}`), `number ${n} of ${folder}`)
}

test('the first of many new files are in the bucket before the last was looked at', async () => {
  await narrow(async (session, at) => {
    const opened = new Set<string>()
    let before = MANY
    const fs = systemFileSystem()
    const noting: FileSystem = { ...fs, open: (path) => fs.open(opened.has(path) ? path : (opened.add(path), path)) }
    const wrap = (store: BlobStore): BlobStore => ({
      ...store,
      commit: async (...given) => {
        const outcomes = await store.commit(...given)
        before = Math.min(before, opened.size)
        return outcomes
      },
    })
    const a = await session('a', { window: null, wrap, fs: noting })
    writeMany(at('a'))
    await a.cycle(everything)
    expect(before).toBeLessThan(MANY)
    expect(counts(a.ports.db)).toMatchObject({ synced: MANY, pending: { files: 0 } })
    expect(a.tally.uploaded).toBe(MANY)
  })
})

test.for(['0', 'z'])(
  'a folder that gets the name %s while it is watched is moved in the bucket, not sent',
  async (to) => {
    await narrow(async (session, at) => {
      const a = await session('a', { window: null })
      writeMany(at('a/from'))
      await a.cycle(everything)
      const sent = a.tally.bytesUp
      renameSync(at('a/from'), at(`a/${to}`))
      await a.cycle({ local: [{ path: '', deep: true }], remote: false })
      expect(a.tally).toMatchObject({ renamed: MANY, uploaded: MANY, deletedRemote: 0, bytesUp: sent })
    })
  },
)

test('what was written is not read again, and what others wrote in between is', async () => {
  await narrow(async (session, at, store) => {
    let [told, commits] = [0, 0]
    const other = async (): Promise<void> => {
      const text = new TextEncoder().encode('from elsewhere')
      const staged = await stageStream(
        store,
        (async function* () {
          yield text
        })(),
      )
      const put = {
        type: 'put',
        key: 'other',
        expect: 'absent',
        contentType: 'text/plain',
        meta: {},
        ...staged,
      } as const
      await store.commit([{ id: systemIds.next(), changes: [put] }])
    }
    const wrap = (inner: BlobStore): BlobStore => ({
      ...inner,
      commit: async (...given) => {
        const outcomes = await inner.commit(...given)
        if (++commits === 2) await other()
        return outcomes
      },
      changes: async function* (options) {
        for await (const item of inner.changes(options)) {
          if (item.type !== 'bookmark') told += 1
          yield item
        }
      },
    })
    const a = await session('a', { wrap })
    for (let n = 0; n < 14; n++) writeFileSync(at(`a/file-${n}`), `number ${n}`)
    await a.cycle(everything)
    expect(told).toBe(0)
    for (let n = 14; n < 42; n++) writeFileSync(at(`a/file-${n}`), `number ${n}`)
    await a.cycle(everything)
    expect(a.tally).toMatchObject({ uploaded: 42, downloaded: 1 })
    expect(readFileSync(at('a/other'), 'utf8')).toBe('from elsewhere')
  })
})
