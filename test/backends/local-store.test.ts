import { execFile } from 'node:child_process'
import {
  appendFile,
  cp,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  writeFile,
} from 'node:fs/promises'
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
import { systemStoreDisk } from '../../src/platform/store-disk.ts'
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

test('a store that someone began and did not finish gets a durable name before anything is written', async () => {
  const synced: string[] = []
  let fails = true
  const sync = (path: string): void => {
    if (fails) throw Object.assign(new Error('input/output error'), { code: 'EIO' })
    synced.push(path)
    systemStoreDisk.sync(path)
  }
  const disk = { ...systemStoreDisk, sync }
  await expect(openLocal({ directory, clock, disk })).rejects.toMatchObject({ code: 'EIO' })
  fails = false
  opened.push(await openLocal({ directory, clock, disk }))
  expect(synced).toContain(directory)
})

describe('the note of the last entry', () => {
  test('cannot make an append fail that is durable', async () => {
    const openNote = (): never => {
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    }
    const backend = await openLocal({ directory, clock, disk: { ...systemStoreDisk, openNote } })
    opened.push(backend)
    const { log } = await openBucket(backend)
    expect(await log.append(entries(2))).toEqual([1, 2])
    expect(await readAll(log)).toHaveLength(2)
  })
})

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
    const { size } = await stat(pack())
    await appendFile(pack(), Buffer.concat([Buffer.from('chnk'), Buffer.alloc(300_000, 7)]))
    const { content } = await openBucket(await openStore())
    await content.put([after])
    expect((await stat(pack())).size).toBeLessThan(size + 100_000)
    expect((await recover(pack())).map(({ hash }) => hash)).toEqual([before.hash, after.hash])
    expect((await content.get([before.hash, after.hash])).map((bytes) => bytes && sha256(bytes))).toEqual([
      before.hash,
      after.hash,
    ])
  })
  test('that were cut off while in use are written to no more; what they lack is told apart by its hash', async () => {
    const [early, late, next] = [someChunk(100_000), someChunk(100_000), someChunk(100_000)]
    const { content } = await openBucket(await openStore())
    const first = await openBucket(await openStore())
    await first.content.put([early, late])
    await present(opened.pop()).close()
    await truncate(pack(), 150_000)
    await content.put([next])
    expect((await recover(pack(2))).map(({ hash }) => hash)).toEqual([next.hash])
    const found = await content.get([early.hash, late.hash])
    expect(found.map((bytes) => bytes && sha256(bytes) === early.hash)).toEqual([true, false])
  })
  test('that are gone give nothing to who has the store open', async () => {
    const chunk = someChunk(100_000)
    await (await openBucket(await openStore())).content.put([chunk])
    const { content } = await openBucket(await openStore())
    await rm(pack())
    expect(await content.get([chunk.hash])).toEqual([null])
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
    alter('PRAGMA user_version = 3')
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
    expect(await problem()).toMatchObject({ code: 'Corrupt', hint: expect.stringMatching(/doctor --repair/) })
  })
  test('not to be opened', async () => {
    await mkdir(join(directory, 'store.db'), { recursive: true })
    expect(await problem()).toMatchObject({ code: 'EACCES', message: expect.stringMatching(/owner and permissions/) })
  })
  const spoil = async (path: string, at: number, bytes: Uint8Array): Promise<void> => {
    const file = await open(path, 'r+')
    await file.write(bytes, 0, bytes.length, at)
    await file.close()
  }
  test('damaged in the middle: Corrupt when the damage is met', async () => {
    const { log } = await openBucket(await openStore())
    await log.append(entries(2000))
    await closed()
    const { size } = await stat(join(directory, 'store.db'))
    await spoil(join(directory, 'store.db'), 40_960, Buffer.alloc(size - 40_960, 0x5a))
    await rm(join(directory, 'heads'), { recursive: true })
    const again = await openBucket(await openStore())
    await expect(readAll(again.log)).rejects.toMatchObject({ code: 'Corrupt', hint: expect.stringMatching(/repair/) })
  })
  test('damaged in the middle: at once, where it is looked at thoroughly', async () => {
    await (await openBucket(await openStore())).log.append(entries(2000))
    await closed()
    await spoil(join(directory, 'store.db'), 40_960, Buffer.alloc(4096, 0x5a))
    const opening = openLocal({ directory, clock, trust: 'thorough' })
    await expect(opening).rejects.toMatchObject({ code: 'Corrupt', message: expect.stringMatching(/does not pass/) })
  })
  test('an altered entry: Corrupt when it is read', async () => {
    const [entry] = entries(1)
    await (await openBucket(await openStore())).log.append([present(entry)])
    await closed()
    const path = join(directory, 'store.db')
    const at = (await readFile(path)).indexOf(present(entry).data)
    await spoil(path, at, Buffer.from([present(present(entry).data[0]) ^ 4]))
    const { log } = await openBucket(await openStore())
    const message = expect.stringMatching(/entry 1 .* bucket one was altered/)
    await expect(readAll(log)).rejects.toMatchObject({ code: 'Corrupt', bucket: 'one', message })
  })
  test('an altered name', async () => {
    await openBucket(await openStore())
    await closed()
    alter("UPDATE buckets SET name = 'two'")
    const backend = await openStore()
    await expect(backend.open('two')).rejects.toMatchObject({ code: 'Corrupt', bucket: 'two' })
    alter('UPDATE buckets SET name = NULL')
    expect(await backend.remove('three')).toBe(false)
  })
  test('a pack that is cut, missing, or of which the index knows too much', async () => {
    await (await openBucket(await openStore())).content.put([someChunk(100_000)])
    await closed()
    alter('UPDATE packs SET used = used - 1')
    expect(await problem()).toMatchObject({ code: 'Corrupt', message: expect.stringMatching(/pack 1 .* altered/) })
    alter('UPDATE packs SET used = used + 1')
    await truncate(pack(), 99_000)
    const message = expect.stringMatching(/packs\/000001.pack was cut: it has 99000 bytes/)
    expect(await problem()).toMatchObject({ code: 'Corrupt', message, hint: expect.stringMatching(/doctor/) })
    await rm(pack())
    expect(await problem()).toMatchObject({ code: 'Corrupt', message: expect.stringMatching(/pack is missing/) })
  })
  test('a table that is another one in a single letter', async () => {
    const backend = await openStore()
    await (await openBucket(backend)).content.put([someChunk(10)])
    await closed()
    const database = await readFile(join(directory, 'store.db'))
    database.write('byTes BLOB', database.indexOf('bytes BLOB'))
    await writeFile(join(directory, 'store.db'), database)
    await expect(openStore()).rejects.toMatchObject({ code: 'Corrupt', message: expect.stringMatching(/tables/) })
  })
  test('packs without their database', async () => {
    await (await openBucket(await openStore())).content.put([someChunk(100_000)])
    await closed()
    await rm(join(directory, 'store.db'))
    expect(await problem()).toMatchObject({
      code: 'Corrupt',
      message: expect.stringMatching(/store.db is missing or empty/),
    })
  })
  test('a log that lacks what was acknowledged', async () => {
    const { log } = await openBucket(await openStore())
    await log.append(entries(3))
    await closed()
    const backend = await openStore()
    await backend.create('two')
    alter('DELETE FROM log WHERE position = 3')
    const message = expect.stringMatching(/log of bucket one lacks entry 3, which was acknowledged/)
    await expect(backend.open('one')).rejects.toMatchObject({ code: 'Corrupt', message })
    expect(await backend.open('two')).not.toBeNull()
  })
  test('a WAL in which one bit has flipped, so that SQLite takes it for one that ends there', async () => {
    const { log } = await openBucket(await openStore())
    await log.append(entries(1))
    await log.append(entries(1))
    const { size } = await stat(join(directory, 'store.db-wal'))
    const copy = join(directory, '..', 'copy')
    await cp(directory, copy, { recursive: true })
    await rm(join(copy, 'store.db-shm'))
    const wal = join(copy, 'store.db-wal')
    await spoil(wal, size - 2000, Buffer.from([present((await readFile(wal))[size - 2000]) ^ 1]))
    const message = expect.stringMatching(/lacks entry 2/)
    for (let turn = 0; turn < 2; turn++) {
      await expect(openLocal({ directory: copy, clock })).rejects.toMatchObject({ code: 'Corrupt', message })
    }
    expect((await stat(wal)).size).toBe(size)
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
