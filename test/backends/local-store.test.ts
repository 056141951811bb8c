import { execFile } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import type { Backend, BucketPorts } from '../../src/store/ports.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'

let directory: string
let opened: Backend[]

beforeEach(async () => {
  directory = join(await mkdtemp(join(tmpdir(), 'blobs-store-')), 'store')
  opened = []
})
afterEach(async () => {
  for (const backend of opened) await backend.close()
  await rm(join(directory, '..'), { recursive: true })
})

async function openStore(packBytes?: number): Promise<Backend> {
  const backend = await openLocal({ directory, clock, ...(packBytes === undefined ? {} : { packBytes }) })
  opened.push(backend)
  return backend
}

async function openBucket(backend: Backend): Promise<BucketPorts> {
  await backend.create('one')
  return present(await backend.open('one'))
}

async function closed(): Promise<void> {
  for (const backend of opened.splice(0)) await backend.close()
}

const pack = (number = 1): string => join(directory, 'packs', `${String(number).padStart(6, '0')}.pack`)

function alter(sql: string): void {
  const db = new DatabaseSync(join(directory, 'store.db'))
  db.exec(sql)
  db.close()
}

/** Another reader of packs, from docs/storage-format.md alone: the chunks in a pack until the first record that is not whole. */
async function recover(path: string): Promise<{ bucket: bigint; hash: string }[]> {
  const file = await readFile(path)
  expect(file.subarray(0, 8).toString('latin1')).toBe('blobspk1')
  const found = []
  for (let at = 8; at + 52 <= file.length;) {
    const head = file.subarray(at, at + 52)
    const length = head.readUInt32BE(44)
    const bytes = file.subarray(at + 52, at + 52 + length)
    if (head.toString('latin1', 0, 4) !== 'chnk' || head.readUInt32BE(48) !== crc32(head.subarray(0, 48))) break
    const hash = head.toString('hex', 12, 44)
    if (bytes.length < length || sha256(bytes) !== hash) break
    found.push({ bucket: head.readBigUInt64BE(4), hash })
    at += 52 + length
  }
  return found
}

describe('the files of a store', () => {
  test('are for their owner only', async () => {
    const { content, log } = await openBucket(await openStore())
    await content.put([someChunk(10), someChunk(100_000)])
    await log.append(entries(1))
    const seen: string[] = []
    for (const item of await readdir(join(directory, '..'), { recursive: true, withFileTypes: true })) {
      const path = join(item.parentPath, item.name)
      const mode = (await stat(path)).mode & 0o777
      expect([path, mode.toString(8)]).toEqual([path, item.isDirectory() ? '700' : '600'])
      seen.push(item.name)
    }
    expect(seen).toEqual(expect.arrayContaining(['store', 'store.db', 'store.db-wal', 'packs', 'views', '000001.pack']))
  })
  test('many appends at once share a transaction', async () => {
    const { log } = await openBucket(await openStore())
    await Promise.all(Array.from({ length: 1000 }, () => log.append(entries(1))))
    // One by one each of them would add a page of 4096 bytes or more.
    expect((await stat(join(directory, 'store.db-wal'))).size).toBeLessThan(1_500_000)
  })
})

describe('packs', () => {
  test('can be read without the index', async () => {
    const { content } = await openBucket(await openStore())
    const chunks = [70_000, 80_000, 524_288].map(someChunk)
    await content.put(chunks)
    expect(await recover(pack())).toEqual(chunks.map(({ hash }) => ({ bucket: 1n, hash })))
  })
  test('that are full are left for a new one', async () => {
    const { content } = await openBucket(await openStore(200_000))
    const chunks = Array.from({ length: 6 }, () => someChunk(100_000))
    for (const chunk of chunks) await content.put([chunk])
    const found = await Promise.all([1, 2, 3].map(async (number) => recover(pack(number))))
    expect(found.flat().map(({ hash }) => hash)).toEqual(chunks.map(({ hash }) => hash))
    expect(found.map((all) => all.length)).toEqual([2, 2, 2])
  })
  test('are taken over by the next opener, and never shared by two', async () => {
    const chunks = Array.from({ length: 4 }, () => someChunk(100_000))
    const [a, b, c, d] = chunks.map((chunk) => [chunk])
    const first = await openBucket(await openStore())
    await first.content.put(present(a))
    const second = await openBucket(await openStore())
    await second.content.put(present(b))
    await closed()
    const third = await openBucket(await openStore())
    await third.content.put(present(c))
    const fourth = await openBucket(await openStore())
    await fourth.content.put(present(d))
    const found = [await recover(pack(1)), await recover(pack(2))]
    const hashes = chunks.map(({ hash }) => hash)
    expect(found.map((all) => all.map(({ hash }) => hash))).toEqual([
      [hashes[0], hashes[2]],
      [hashes[1], hashes[3]],
    ])
  })
  test('are not given up before what was written to them can be found', async () => {
    const chunks = Array.from({ length: 4 }, () => someChunk(100_000))
    const [a, b, c, d] = chunks.map((chunk) => [chunk])
    const [first, second] = [await openBucket(await openStore(150_000)), await openBucket(await openStore(150_000))]
    await first.content.put(present(a))
    const other = new DatabaseSync(join(directory, 'store.db'))
    other.exec('BEGIN IMMEDIATE')
    // While nobody can write to the index: the first fills its pack and wants a new one, the second looks for one with room.
    const putting = [first.content.put(present(b)), sleep(30).then(() => first.content.put(present(c)))]
    putting.push(sleep(80).then(() => second.content.put(present(d))))
    await sleep(200)
    other.exec('ROLLBACK')
    other.close()
    await Promise.all(putting)
    const hashes = chunks.map(({ hash }) => hash)
    expect((await first.content.get(hashes)).map((bytes) => bytes && sha256(bytes))).toEqual(hashes)
  })
  test('lose a torn tail when they are taken over', async () => {
    const [before, after] = [someChunk(100_000), someChunk(90_000)]
    await (await openBucket(await openStore())).content.put([before])
    await closed()
    await appendFile(pack(), Buffer.concat([Buffer.from('chnk'), Buffer.alloc(30_000, 7)]))
    const { content } = await openBucket(await openStore())
    await content.put([after])
    expect((await recover(pack())).map(({ hash }) => hash)).toEqual([before.hash, after.hash])
    expect((await content.get([before.hash, after.hash])).map((bytes) => bytes && sha256(bytes))).toEqual([
      before.hash,
      after.hash,
    ])
  })
  test('that were cut off are written to no more; what they lack is told apart by its hash', async () => {
    const [early, late, next] = [someChunk(100_000), someChunk(100_000), someChunk(100_000)]
    await (await openBucket(await openStore())).content.put([early, late])
    await closed()
    await truncate(pack(), 150_000)
    const { content } = await openBucket(await openStore())
    await content.put([next])
    expect((await recover(pack(2))).map(({ hash }) => hash)).toEqual([next.hash])
    const found = await content.get([early.hash, late.hash])
    expect(found.map((bytes) => bytes && sha256(bytes) === early.hash)).toEqual([true, false])
    await rm(pack())
    await closed()
    expect(await (await openBucket(await openStore())).content.get([early.hash])).toEqual([null])
  })
  test('hand a flipped bit to the reader, whose hash check sees it', async () => {
    const chunk = someChunk(100_000)
    const { content } = await openBucket(await openStore())
    await content.put([chunk])
    const file = await open(pack(), 'r+')
    await file.write(Buffer.from([present(chunk.bytes[500]) ^ 1]), 0, 1, 8 + 52 + 500)
    await file.close()
    const [bytes] = await content.get([chunk.hash])
    expect(bytes?.length).toBe(100_000)
    expect(sha256(present(bytes))).not.toBe(chunk.hash)
  })
  test('go when the last bucket with something in them is removed', async () => {
    const backend = await openStore()
    const { content } = await openBucket(backend)
    await content.put([someChunk(100_000)])
    await closed()
    const again = await openStore()
    await again.remove('one')
    expect(await readdir(join(directory, 'packs'))).toEqual([])
  })
})

describe('a store that can not be used says so', () => {
  const problem = (): Promise<unknown> => openStore().catch((error: unknown) => error)

  test('written by a newer program', async () => {
    await openStore()
    await closed()
    alter('PRAGMA user_version = 2')
    expect(await problem()).toMatchObject({ code: 'NotSupported', hint: expect.stringMatching(/newer/) })
  })
  test('the database of something else', async () => {
    await mkdir(directory)
    alter('CREATE TABLE other (x)')
    expect(await problem()).toMatchObject({ code: 'Corrupt', hint: expect.stringMatching(/another directory/) })
  })
  test('not a database', async () => {
    await mkdir(directory)
    await writeFile(join(directory, 'store.db'), 'no database at all'.repeat(1000))
    expect(await problem()).toMatchObject({ code: 'Corrupt', hint: expect.stringMatching(/backup/) })
  })
  test('not to be opened', async () => {
    await mkdir(join(directory, 'store.db'), { recursive: true })
    expect(await problem()).toMatchObject({ code: 'EACCES', message: expect.stringMatching(/owner and permissions/) })
  })
  test('damaged in the middle: Corrupt when the damage is met', async () => {
    const { log } = await openBucket(await openStore())
    await log.append(entries(2000))
    await closed()
    const { size } = await stat(join(directory, 'store.db'))
    const file = await open(join(directory, 'store.db'), 'r+')
    await file.write(Buffer.alloc(size - 40_960, 0x5a), 0, size - 40_960, 40_960)
    await file.close()
    const again = await openBucket(await openStore())
    await expect(readAll(again.log)).rejects.toMatchObject({ code: 'Corrupt', hint: expect.stringMatching(/recover/) })
  })
})

/** Runs a shell script where it may mount file systems that nobody else sees. */
function inMounts(script: string, ...args: string[]): Promise<{ stdout: string }> {
  return promisify(execFile)('sh', ['-c', 'exec unshare -rm sh -c "$@"', 'sh', script, 'sh', ...args])
}
const mounts = await inMounts('mount -t tmpfs none /mnt').then(
  () => true,
  () => false,
)
const FILLER = fileURLToPath(new URL('local-full-disk.ts', import.meta.url))

describe('a full disk', () => {
  // Needs a small file system of its own: unshare(1) with mount(8), which some containers refuse.
  test.skipIf(!mounts)(
    'refuses with QuotaExceeded, keeps what was acknowledged, and goes on when there is space',
    async () => {
      await mkdir(directory)
      const run = 'mount -t tmpfs -o size=6m none "$1" && exec "$2" "$3" "$1"'
      const { stdout } = await inMounts(run, directory, process.execPath, FILLER)
      expect(JSON.parse(stdout)).toEqual({
        small: 'QuotaExceeded',
        large: 'QuotaExceeded',
        entries: 'QuotaExceeded',
        lost: [],
        afterwards: 'ok',
        reopened: 'ok',
      })
    },
  )
})
