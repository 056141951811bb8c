import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import type { Backend, BucketPorts, Log, Position, StoredChunk, Trimming } from '../../src/store/ports.ts'
import { entries, present, readAll, someChunk } from './conformance.ts'

type Open = () => Promise<Backend>
type MakeBucket = (backend: Backend, name?: string) => Promise<BucketPorts>

/** Appends so many entries, each by a call of its own. */
async function appendEach(log: Log, count: number): Promise<Position[]> {
  const positions: Position[] = []
  for (let i = 0; i < count; i++) positions.push(...(await log.append(entries(1))))
  return positions
}

/** Where a log cannot be trimmed, its place says why. */
export function trimmingConforms(open: Open, bucket: MakeBucket): void {
  const law = (
    name: string,
    check: (ports: BucketPorts, trimming: Trimming, backend: Backend) => Promise<void>,
  ): void =>
    test(name, async () => {
      const backend = await open()
      const ports = await bucket(backend)
      const { trimming } = ports.log
      expect(trimming === undefined).toBe(backend.promises.cannot.trimming !== undefined)
      if (trimming !== undefined) await check(ports, trimming, backend)
    })
  const root = (): string => sha256(randomBytes(8))

  law('a new log has no floor and no checkpoint', async (_ports, trimming) => {
    expect([await trimming.floor(), await trimming.checkpoint()]).toEqual([0, null])
  })
  law('the newest checkpoint counts, for every opener', async ({ log }, trimming) => {
    const positions = await appendEach(log, 4)
    const saved = [0, 2, 1].map((at) => ({ position: present(positions[at]), root: root() }))
    for (const checkpoint of saved) await trimming.saveCheckpoint(checkpoint)
    expect(await trimming.checkpoint()).toEqual(saved[1])
    const again = present((await bucket(await open())).log.trimming)
    expect(await again.checkpoint()).toEqual(saved[1])
  })
  law('what is trimmed is gone for every opener, and all behind it is there', async ({ log }, trimming) => {
    const positions = await appendEach(log, 6)
    const before = await readAll(log)
    await trimming.trim({ through: present(positions[3]) })
    const floor = await trimming.floor()
    expect(floor).toBeGreaterThan(0)
    expect(floor).toBeLessThanOrEqual(present(positions[3]))
    for (const other of [log, (await bucket(await open())).log]) {
      expect(await present(other.trimming).floor()).toBe(floor)
      expect(await readAll(other, floor)).toEqual(before.filter(({ position }) => position > floor))
    }
    const { log: fresh } = await bucket(await open())
    await expect(readAll(fresh)).rejects.toMatchObject({ code: 'CursorExpired' })
    await expect(readAll(fresh, floor - 1)).rejects.toMatchObject({ code: 'CursorExpired' })
    await readAll(fresh, floor)
    expect((await fresh.append(entries(1)))[0]).toBeGreaterThan(present(positions.at(-1)))
  })
  law('a floor never goes back', async ({ log }, trimming) => {
    const positions = await appendEach(log, 6)
    await trimming.trim({ through: present(positions[4]) })
    const floor = await trimming.floor()
    await trimming.trim({ through: present(positions[1]) })
    expect(await trimming.floor()).toBe(floor)
    await appendEach(log, 2)
    await trimming.trim({ through: present(positions[5]) })
    expect(await trimming.floor()).toBeGreaterThanOrEqual(floor)
  })
  law('who has read less than was trimmed is told so, and never reads on across the gap', async ({ log }, trimming) => {
    const positions = await appendEach(log, 3)
    const { log: sleeper } = await bucket(await open())
    await readAll(sleeper)
    const later = await appendEach(log, 5)
    await trimming.trim({ through: present(later[2]) })
    let told = 0
    for (let look = 0; look < 9; look++) {
      const found = await readAll(sleeper, present(positions[2])).catch((error: { code?: string }) => {
        expect(error.code).toBe('CursorExpired')
        told += 1
        return []
      })
      expect(found).toEqual([])
    }
    expect(told).toBeGreaterThan(0)
  })
  law(
    'who appends after the end that was seen was trimmed away has done so behind all others, or not at all',
    async ({ log }, trimming) => {
      await appendEach(log, 2)
      const { log: sleeper } = await bucket(await open())
      await readAll(sleeper)
      const later = await appendEach(log, 5)
      await trimming.trim({ through: present(later[3]) })
      const floor = await trimming.floor()
      const added = entries(1)
      const given = await sleeper.append(added).catch((error: { code?: string }) => {
        expect(error.code).toBe('CursorExpired')
        return null
      })
      const found = (await readAll((await bucket(await open())).log, floor)).find(({ id }) => id === added[0]?.id)
      expect(found?.position).toEqual(given?.[0])
      if (given !== null) expect(given[0]).toBeGreaterThan(present(later.at(-1)))
    },
  )
}

/** Where chunks cannot be removed, the place says why. */
export function sweepingConforms(open: Open, bucket: MakeBucket): void {
  test('all chunks are listed, and removed one by one', async () => {
    const backend = await open()
    const { content } = await bucket(backend)
    const { sweeping } = content
    expect(sweeping === undefined).toBe(backend.promises.cannot.sweeping !== undefined)
    if (sweeping === undefined) return
    const chunks = [0, 10, 70_000, 300_000].map(someChunk)
    await content.put(chunks)
    const listed = async (): Promise<Map<string, number>> =>
      new Map((await listAll(sweeping.chunks())).map(({ hash, size }) => [hash, size]))
    expect(await listed()).toEqual(new Map(chunks.map(({ hash, bytes }) => [hash, bytes.length])))
    const gone = chunks.slice(1, 3).map(({ hash }) => hash)
    for await (const batch of sweeping.chunks()) {
      const some = batch.filter(({ hash }) => gone.includes(hash))
      expect((await sweeping.remove(some)).chunks).toBe(some.length)
    }
    const nothing = { hash: someChunk(5).hash, size: 5, modified: Date.now(), tag: '7' }
    expect((await sweeping.remove([nothing])).chunks).toBe(0)
    expect(await content.missing(chunks.map(({ hash }) => hash))).toEqual(gone)
    if (sweeping.aside === undefined)
      expect([...(await listed()).keys()].sort()).toEqual([chunks[0]?.hash, chunks[3]?.hash].sort())
    await content.put(chunks)
    expect(await content.missing(gone)).toEqual([])
    await sweeping.compact?.(async () => undefined)
    const found = await content.get(chunks.map(({ hash }) => hash))
    expect(found.map((bytes) => sha256(present(bytes)))).toEqual(chunks.map(({ hash }) => hash))
  })
  test('what is set aside is missing and can be read; it is put back, put again beside it, or removed for good', async () => {
    const { content } = await bucket(await open())
    const { sweeping } = content
    const { aside } = sweeping ?? {}
    if (sweeping === undefined || aside === undefined) return
    const chunks = [0, 10, 70_000, 300_000].map(someChunk)
    const hashes = chunks.map(({ hash }) => hash)
    await content.put(chunks)
    const began = await sweeping.now()
    const listed = await listAll(sweeping.chunks())
    expect((await sweeping.remove(listed)).chunks).toBe(4)
    expect((await content.missing(hashes)).toSorted()).toEqual(hashes.toSorted())
    expect((await content.get(hashes)).map((bytes) => sha256(present(bytes)))).toEqual(hashes)
    const there = await listAll(aside.chunks())
    expect(there.map(({ hash, size }) => [hash, size]).sort()).toEqual(
      chunks.map(({ hash, bytes }) => [hash, bytes.length]).sort(),
    )
    // Whole seconds are all that some places tell.
    for (const { modified } of there) expect(modified).toBeGreaterThan(began - 2000)
    await content.put(chunks.slice(0, 1))
    const of = (index: number) => there.filter(({ hash }) => hash === hashes[index])
    await aside.restore([...of(1), ...of(1)])
    await aside.remove([...of(0), ...of(2)])
    await aside.remove(of(2))
    await aside.restore(of(2))
    const found = await content.get(hashes)
    expect(found.map((bytes) => bytes !== null && sha256(bytes))).toEqual([hashes[0], hashes[1], false, hashes[3]])
    expect((await content.missing(hashes)).toSorted()).toEqual([hashes[2], hashes[3]].toSorted())
    expect((await listAll(aside.chunks())).map(({ hash }) => hash)).toEqual([hashes[3]])
  })
}

async function listAll(batches: AsyncIterable<readonly StoredChunk[]>): Promise<StoredChunk[]> {
  const all: StoredChunk[] = []
  for await (const batch of batches) all.push(...batch)
  return all
}
