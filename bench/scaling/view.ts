import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openDatabase } from '../../src/platform/sqlite.ts'
import type { Entry } from '../../src/store/entry.ts'
import { openView, type View } from '../../src/store/view/view.ts'
import { keyOf } from '../load/fill.ts'
import { median, percentile } from '../figures.ts'
import { residentMiB } from '../process.ts'

/** A view of so many keys by itself: without a log, chunks, a server. */
export interface Viewed {
  readonly keys: number
  readonly bytes: number
  /** Milliseconds, at keys all over the bucket: of one key looked up; a folder of a thousand listed; an entry of one put read into it. */
  readonly find: number
  readonly list: number
  readonly apply: number
  readonly applyMost: number
  /** MiB of memory of the process that has it. */
  readonly memory: number
}

const FINDS = 2000
const LISTS = 50
const APPLIES = 1000
/** Rows that are made in one transaction. */
const STEP = 500_000

/** Its rows are made by SQL, in the order of the keys: reading a log of ten millions takes twenty minutes, which `growth` measures for less. */
export async function measureViews(
  directory: string,
  counts: readonly number[],
  onViewed: (viewed: Viewed) => void,
): Promise<void> {
  mkdirSync(directory, { recursive: true })
  for (const keys of counts) {
    const path = join(directory, `view-${keys}.db`)
    await make(path, keys)
    onViewed(await measure(path, keys))
    for (const end of ['', '-wal', '-shm']) rmSync(`${path}${end}`, { force: true })
  }
}

async function make(path: string, keys: number): Promise<void> {
  const empty = await openView({ path, bucket: 'view', clock, ids })
  empty.close()
  const db = openDatabase(path, { synchronous: 'normal' })
  // Nobody minds if a crash leaves half of it.
  db.exec('PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000')
  db.exec('DROP INDEX entries_by_id; DROP INDEX live_keys')
  for (let from = 0; from < keys; from += STEP) {
    const [first, end] = [from + 1, Math.min(from + STEP, keys)]
    const rows = `WITH RECURSIVE row (n) AS (SELECT ${first} UNION ALL SELECT n + 1 FROM row WHERE n < ${end})`
    const meta = `'{"mtime":"1767225600.123","mode":"644"}'`
    const hash = 'lower(hex(randomblob(32)))'
    const key = `printf('folder-%05d/blob-%03d', (n - 1) / 1000, (n - 1) % 1000)`
    db.exec('BEGIN')
    db.exec(
      `INSERT INTO versions ${rows} SELECT n, n, 1, n + 1, 1767225600000, 0, 4096, ${hash}, 'application/octet-stream', ${meta}, 0, randomblob(40) FROM row`,
    )
    db.exec(`INSERT INTO keys ${rows} SELECT n, ${key}, n, 0 FROM row`)
    db.exec(
      `INSERT INTO entries ${rows} SELECT n + 1, lower(hex(randomblob(16))), 0, 1767225600000, 'ann', 'laptop', NULL, n, 1, NULL FROM row`,
    )
    db.exec('COMMIT')
  }
  db.exec('CREATE INDEX entries_by_id ON entries (id)')
  db.exec('CREATE INDEX live_keys ON keys (key) WHERE deleted = 0')
  db.run(
    `UPDATE state SET epoch = 'e', entry = 'e', position = ?, blobs = ?, bytes = ?, serial = ?`,
    keys + 1,
    keys,
    keys * 4096,
    keys + 1,
  )
  db.close()
}

async function measure(path: string, keys: number): Promise<Viewed> {
  const view = await openView({ path, bucket: 'view', clock, ids })
  const anyKey = (): string => keyOf(Math.floor(Math.random() * keys))
  const [folder = ''] = anyKey().split('/')
  const find = await times(FINDS, () => {
    if (view.find(anyKey()) === null) throw new Error('a key is not there')
  })
  const list = await times(LISTS, () => void view.list({ prefix: `${folder}/`, limit: 1000 }))
  const apply = await times(APPLIES, () => applyPut(view, anyKey()))
  const memory = residentMiB(process.pid)
  view.close()
  return {
    keys,
    bytes: statSync(path).size,
    find: median(find),
    list: median(list),
    apply: median(apply),
    applyMost: percentile(apply, 99),
    memory,
  }
}

async function times(count: number, act: () => Promise<void> | void): Promise<readonly number[]> {
  const spans: number[] = []
  for (let n = 0; n < count; n++) {
    const started = performance.now()
    await act()
    spans.push(performance.now() - started)
  }
  return spans
}

function applyPut(view: View, key: string): Promise<void> {
  const { position } = view.state()
  const hash = randomBytes(32).toString('hex')
  const put = { put: key, expect: 'any', hash, size: 100, depth: 0, refs: [[hash, 100]] } as const
  const changes = [{ ...put, type: 'text/plain', meta: {} }] as const
  const rest = { time: 1_767_225_600_000, author: 'ann', device: 'laptop', changes, based: position }
  const entry: Entry = { v: 1, id: randomBytes(16).toString('hex'), ...rest }
  return view.apply([{ position: position + 1, entry }])
}
