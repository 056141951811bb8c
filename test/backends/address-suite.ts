import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import { openAddresses } from '../../src/locations/addressed-store.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { AddressStore } from '../../src/store/contract/addresses.ts'
import { present } from './conformance.ts'
import { startService, type Service } from './driver/service.ts'

/** The place at a URL, as a machine of its own opens it. */
export function addressesAt(url: string, { env = {} }: Pick<Service, 'env'> = {}): Promise<AddressStore> {
  const home = mkdtempSync(join(tmpdir(), 'blobs-machine-'))
  const place = { env, cacheDirectory: join(home, 'cache'), stateDirectory: join(home, 'state') }
  return openAddresses(url, { clock, ids, place: { ...place, singleWriter: false, warn: () => undefined } })
}

export async function bytesOf(store: AddressStore, hash: string): Promise<Buffer | null> {
  const found = await store.get(hash)
  if (found === null) return null
  const pieces: Buffer[] = []
  for await (const piece of found.stream) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

/** One buffer is used for all the pieces, as a reader of files does. */
export async function* inPieces(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  const buffer = Buffer.alloc(length)
  for (let at = 0; at < bytes.length; at += length) {
    const piece = bytes.subarray(at, at + length)
    buffer.set(piece)
    yield buffer.subarray(0, piece.length)
  }
}

export interface Damage {
  /** Changes a byte of what is at an address, behind the store's back. */
  readonly damage: (url: string, hash: string) => Promise<void>
  readonly lacks?: string | null
}

/** What holds for every place that knows bytes by their address alone. */
export function addressSuite(scheme: string, start: () => Promise<Service>, { damage, lacks = null }: Damage): void {
  if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`${scheme} cannot be tested: ${lacks}`)
  describe.skipIf(lacks !== null)(`${scheme}:// (${lacks ?? 'as its driver opens it'})`, () => {
    const service = startService(start)
    const opened: AddressStore[] = []
    const open = async (url: string): Promise<AddressStore> => {
      const store = await addressesAt(url, service())
      opened.push(store)
      return store
    }
    afterEach(async () => {
      for (const store of opened.splice(0)) await store.close()
    })

    it.each([0, 1, 131_071, 131_072, 131_073, 3_000_000])('%i bytes come back from their address', async (size) => {
      const url = await service().place()
      const [a, b] = [await open(url), await open(url)]
      const bytes = randomBytes(size)
      expect(await a.put(inPieces(bytes, 50_000))).toMatchObject({ hash: sha256(bytes), size })
      expect(await b.find(sha256(bytes))).toMatchObject({ hash: sha256(bytes), size })
      expect(Buffer.compare(present(await bytesOf(b, sha256(bytes))), bytes)).toBe(0)
    })

    it('what was never put is null', async () => {
      const store = await open(await service().place())
      await store.put(inPieces(randomBytes(10), 10))
      expect(await store.find(sha256(Buffer.from('nothing')))).toBeNull()
      expect(await store.get(sha256(Buffer.from('nothing')))).toBeNull()
    })

    it('putting again, and by many at once, keeps one', async () => {
      const url = await service().place()
      const stores = await Promise.all([open(url), open(url), open(url)])
      const bytes = randomBytes(400_000)
      const put = await Promise.all(stores.map((store) => store.put(inPieces(bytes, 70_000))))
      expect(put.map(({ hash }) => hash)).toEqual([sha256(bytes), sha256(bytes), sha256(bytes)])
      await present(stores[0]).put(inPieces(bytes, 400_000))
      expect(await listed(present(stores[1]))).toEqual([[sha256(bytes), 400_000]])
      expect(Buffer.compare(present(await bytesOf(present(stores[2]), sha256(bytes))), bytes)).toBe(0)
    })

    it('with the hash that is expected nothing is read where it is there, and other bytes are refused', async () => {
      const store = await open(await service().place())
      const bytes = randomBytes(1000)
      const expected = { hash: sha256(bytes), size: 1000 }
      const other = store.put(inPieces(randomBytes(1000), 100), { expected })
      await expect(other).rejects.toMatchObject({ code: 'Unavailable' })
      await store.put(inPieces(bytes, 100), { expected })
      expect(await store.put(unreadable(), { expected })).toMatchObject(expected)
      expect(await listed(store)).toEqual([[expected.hash, 1000]])
    })

    it('a source that fails in the middle leaves nothing', async () => {
      const store = await open(await service().place())
      const source = async function* (): AsyncGenerator<Uint8Array> {
        yield randomBytes(500_000)
        throw new Error('the pipe broke')
      }
      await expect(store.put(source())).rejects.toThrow('the pipe broke')
      expect(await listed(store)).toEqual([])
    })

    it('lists what there is', async () => {
      const store = await open(await service().place())
      const all = [1, 200_000, 30].map((size) => randomBytes(size))
      for (const bytes of all) await store.put(inPieces(bytes, 1000))
      expect(await listed(store)).toEqual(all.map((bytes) => [sha256(bytes), bytes.length]).sort())
    })

    it('bytes that do not match are Corrupt before the last of them is told', async () => {
      const url = await service().place()
      const store = await open(url)
      const bytes = randomBytes(300_000)
      const { hash } = await store.put(inPieces(bytes, 1000))
      await damage(url, hash)
      let told = 0
      const reading = async (): Promise<void> => {
        for await (const piece of present(await store.get(hash)).stream) told += piece.length
      }
      await expect(reading()).rejects.toMatchObject({ code: 'Corrupt' })
      expect(told).toBeLessThan(300_000)
    })

    it.each(['../../etc/passwd', 'ABCDEF', '', 'f'.repeat(63), `${'f'.repeat(64)}/x`, 'F'.repeat(64)])(
      '%j is no hash, and is refused',
      async (hash) => {
        const store = await open(await service().place())
        await expect(store.find(hash)).rejects.toMatchObject({ code: 'InvalidRequest' })
        await expect(store.get(hash)).rejects.toMatchObject({ code: 'InvalidRequest' })
      },
    )
  })
}

async function listed(store: AddressStore): Promise<readonly (readonly [string, number])[]> {
  const all: [string, number][] = []
  for await (const batch of store.list()) all.push(...batch.map(({ hash, size }): [string, number] => [hash, size]))
  return all.sort()
}

function unreadable(): AsyncIterable<Uint8Array> {
  const next = (): Promise<never> => Promise.reject(new Error('this was not to be read'))
  return { [Symbol.asyncIterator]: () => ({ next }) }
}
