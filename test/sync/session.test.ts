import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { openDatabase } from '../../src/platform/sqlite.ts'
import { systemIds } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import { pair, type SyncEvent } from '../../src/sync/agent.ts'
import { openRoot } from '../../src/sync/disk/marker.ts'
import { openDisk } from '../../src/sync/disk/transition.ts'
import { openSession, type Session } from '../../src/sync/session/session.ts'
import { approveHeld, heldDeletes } from '../../src/sync/state/held.ts'
import { prepareState, write } from '../../src/sync/state/open.ts'
import { counts } from '../../src/sync/state/rows.ts'
import { hastyClock as clock } from './world.ts'

/** Sessions that plan seven rows at a time, with their trees in memory, over the local backend. */
async function narrow(
  act: (session: (name: string) => Promise<Session>, at: (path: string) => string) => Promise<void>,
) {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'session-')))
  const fs = systemFileSystem()
  const buckets = openBuckets({
    backend: await openLocal({ directory: join(directory, 'store'), clock }),
    clock,
    ids: systemIds,
  })
  await buckets.create('team')
  const store = await buckets.open('team')
  const session = async (name: string): Promise<Session> => {
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
      bucket: { store, prefix: '' },
      device: { id: name, name },
      traits: { caseBlind: false, windows: false },
      exclude: [],
      maxDelete: null,
      window: 7,
      onEvent: (event) => events.push(event),
    })
  }
  try {
    await act(session, (path) => join(directory, path))
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
