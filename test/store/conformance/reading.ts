import { expect, it } from 'vitest'
import { sha256 } from '../../../src/content/hash.ts'
import { MAX_FETCH_BYTES } from '../../../src/store/contract/blob-store.ts'
import { bytesOf, collect, put, remove, textOf } from '../acts.ts'
import type { Laws } from '../conformance.ts'
import { noise } from '../noise.ts'

export function readingLaws({ open }: Laws): void {
  it('knows nothing of what never was', async () => {
    const { store, writer } = await open()
    await put(writer, 'k', '1')
    for (const [key, version] of [
      ['never', undefined],
      ['k', 2],
      ['K', undefined],
    ] as const) {
      const options = version === undefined ? {} : { version }
      expect(await store.head(key, options)).toBeNull()
      expect(await store.get(key, options)).toBeNull()
    }
    expect(await store.chunksOf('k', 2)).toBeNull()
  })

  it('reads every version that was', async () => {
    const { store, writer } = await open()
    const first = await put(writer, 'k', 'one')
    await put(writer, 'k', 'two')
    await remove(writer, 'k')
    expect(await store.get('k')).toBeNull()
    expect(await textOf(store, 'k', { version: 1 })).toBe('one')
    expect(await textOf(store, 'k', { version: 2 })).toBe('two')
    expect(await store.get('k', { version: 3 })).toBeNull()
    expect(await store.chunksOf('k', 3)).toBeNull()
    expect((await store.get('k', { version: 1 }))?.info).toEqual(first)
    expect(await store.head('k')).toMatchObject({ deleted: true, version: 3 })
  })

  it.each<[string, readonly [number, number], string]>([
    ['from the middle', [3, 5], '345'],
    ['one byte', [0, 0], '0'],
    ['to the end', [7, Number.POSITIVE_INFINITY], '789'],
    ['beyond the end', [8, 1000], '89'],
    ['all of it', [0, 9], '0123456789'],
    ['the last ones', [-3, Number.POSITIVE_INFINITY], '789'],
    ['more last ones than there are', [-99, Number.POSITIVE_INFINITY], '0123456789'],
  ])('reads a range: %s', async (_, range, text) => {
    const { store, writer } = await open()
    await put(writer, 'k', '0123456789')
    expect(await textOf(store, 'k', { range })).toBe(text)
    const first = '0123456789'.indexOf(text)
    const blob = await store.get('k', { range })
    expect(blob).toMatchObject({ range: [first, first + text.length - 1], info: { size: 10 } })
    await collect(blob?.stream ?? none())
  })

  it.each([[[10, 12]], [[5, 4]]] as const)('refuses a range that holds no byte: %j', async (range) => {
    const { store, writer } = await open()
    await put(writer, 'k', '0123456789')
    await expect(store.get('k', { range })).rejects.toMatchObject({ code: 'InvalidRequest' })
  })

  it('reads nothing of an empty blob, whatever the range', async () => {
    const { store, writer } = await open()
    await put(writer, 'k', '')
    const blob = await store.get('k', { range: [0, Number.POSITIVE_INFINITY] })
    expect(blob?.range).toEqual([0, -1])
    expect(await collect(blob?.stream ?? none())).toEqual([])
  })

  it('streams a large blob, whole and by ranges across its chunks', async () => {
    const { store, writer } = await open()
    const bytes = noise(6 * 1024 * 1024 + 17)
    const info = await put(writer, 'large', bytes)
    expect(info).toMatchObject({ size: bytes.length, hash: sha256(bytes) })
    const blob = await store.get('large')
    const pieces = await collect(blob?.stream ?? none())
    expect(pieces.length).toBeGreaterThan(1)
    expect(sha256(Buffer.concat(pieces))).toBe(info.hash)
    for (const [first, last] of [
      [1_000_000, 3_000_000],
      [bytes.length - 5, bytes.length - 1],
      [262_144, 262_144],
    ] as const) {
      expect((await bytesOf(store, 'large', { range: [first, last] }))?.equals(bytes.subarray(first, last + 1))).toBe(
        true,
      )
    }
  })

  it('lets a reader of a large blob stop in the middle', async () => {
    const { store, writer } = await open()
    await put(writer, 'large', noise(6 * 1024 * 1024))
    for await (const piece of (await store.get('large'))?.stream ?? none()) {
      expect(piece.length).toBeGreaterThan(0)
      break
    }
    expect((await store.head('large'))?.version).toBe(1)
  })

  it('fetches many small blobs at once and leaves out what is not there', async () => {
    const { store, writer } = await open()
    const wants = []
    for (let index = 0; index < 20; index++) wants.push(await put(writer, `k${index}`, `bytes ${index % 3}`))
    await put(writer, 'k0', 'newer')
    await put(writer, 'medium', noise(300_000))
    await put(writer, 'empty', '')
    await remove(writer, 'k1')
    const more = ['medium', 'empty', 'never'].map((key) => ({ key, version: 1 }))
    const fetched = await collect(
      store.fetch([...wants.map(({ key, version }) => ({ key, version })), { key: 'k1', version: 2 }, ...more]),
    )
    const found = new Map(fetched.map(({ key, version, bytes }) => [`${key} ${version}`, bytes]))
    expect(found.size).toBe(22)
    for (const { key, version } of wants) {
      expect(Buffer.from(found.get(`${key} ${version}`) ?? []).toString()).toBe(`bytes ${Number(key.slice(1)) % 3}`)
    }
    expect(Buffer.from(found.get('medium 1') ?? []).equals(noise(300_000))).toBe(true)
    expect(found.get('empty 1')?.length).toBe(0)
    expect(await collect(store.fetch([]))).toEqual([])
  })

  it('serves one that is too large only by itself', async () => {
    const { store, writer } = await open()
    await put(writer, 'large', noise(MAX_FETCH_BYTES + 1))
    await put(writer, 'just', noise(MAX_FETCH_BYTES))
    await expect(collect(store.fetch([{ key: 'large', version: 1 }]))).rejects.toMatchObject({
      code: 'InvalidRequest',
      key: 'large',
    })
    const [just] = await collect(store.fetch([{ key: 'just', version: 1 }]))
    expect(just?.bytes.length).toBe(MAX_FETCH_BYTES)
  })

  it('answers nothing after it was closed', async () => {
    const { store } = await open()
    await store.close()
    await store.close()
    await expect(store.head('k')).rejects.toBeInstanceOf(Error)
    await expect(store.list()).rejects.toBeInstanceOf(Error)
  })
}

async function* none(): AsyncGenerator<Uint8Array, void> {}
