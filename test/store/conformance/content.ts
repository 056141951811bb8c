import { expect, it } from 'vitest'
import { sha256 } from '../../../src/content/hash.ts'
import { openStaging, stageStream } from '../../../src/store/contract/upload.ts'
import { act, bytesOf, collect, commit, entry, once, put, putChange, textOf } from '../acts.ts'
import type { Laws } from '../conformance.ts'
import { noise } from '../noise.ts'

export function contentLaws({ open }: Laws): void {
  it('misses what was not staged, and no more after it was', async () => {
    const { writer } = await open()
    const chunks = ['one', 'two'].map((text) => ({ hash: sha256(Buffer.from(text)), bytes: Buffer.from(text) }))
    const hashes = chunks.map((chunk) => chunk.hash)
    expect(new Set(await writer.missing(hashes))).toEqual(new Set(hashes))
    await writer.stage(chunks.slice(0, 1))
    expect(await writer.missing(hashes)).toEqual(hashes.slice(1))
    await writer.stage(chunks)
    await writer.stage([])
    expect(await writer.missing(hashes)).toEqual([])
    expect(await writer.missing([])).toEqual([])
  })

  it('refuses to stage bytes that are not those of their hash', async () => {
    const { writer } = await open()
    const hash = sha256(Buffer.from('promised'))
    await expect(writer.stage([{ hash, bytes: Buffer.from('sent') }])).rejects.toMatchObject({ code: 'Corrupt' })
    expect(await writer.missing([hash])).toEqual([hash])
  })

  it('looks no more at the memory of chunks that are staged', async () => {
    const { store, writer } = await open()
    for (const size of [1000, 200_000]) {
      const lent = noise(size, size % 250)
      const hash = sha256(lent)
      await writer.stage([{ hash, bytes: lent }])
      lent.fill(0)
      const body = { depth: 0, refs: [{ hash, size }] }
      await act(writer, { type: 'put', key: hash, expect: 'any', hash, size, body, contentType: 'a/b', meta: {} })
      expect(sha256((await bytesOf(store, hash)) ?? Buffer.alloc(0))).toBe(hash)
    }
  })

  it('refuses to commit what was not staged, and appends nothing of that call', async () => {
    const { store, writer } = await open()
    const good = entry(await putChange(writer, 'good', 'good'))
    const hash = sha256(Buffer.from('never sent'))
    const body = { depth: 0, refs: [{ hash, size: 10 }] }
    const bad = entry({ type: 'put', key: 'bad', expect: 'any', hash, size: 10, body, contentType: 'a/b', meta: {} })
    const { head } = await store.info()
    await expect(writer.commit([good, bad])).rejects.toMatchObject({ code: 'InvalidRequest', key: 'bad' })
    expect((await store.info()).head).toBe(head)
    expect(await store.head('good')).toBeNull()
  })

  it('refuses chunks that are not the bytes promised, when asked to look', async () => {
    const { store, writer } = await open()
    const change = await putChange(writer, 'k', noise(300_000))
    const lie = entry({ ...change, hash: sha256(Buffer.from('other')) })
    await expect(writer.commit([lie], { verify: true })).rejects.toMatchObject({ code: 'Corrupt', key: 'k' })
    expect(await store.head('k')).toBeNull()
    const [outcome] = await writer.commit([entry(change)], { verify: true })
    expect(outcome?.ok).toBe(true)
  })

  it('refuses a single chunk that is not the blob', async () => {
    const { writer } = await open()
    const change = await putChange(writer, 'k', 'small')
    const lie = entry({ ...change, hash: sha256(Buffer.from('other')) })
    await expect(commit(writer, lie)).rejects.toMatchObject({ code: 'InvalidRequest', key: 'k' })
  })

  it('names the chunks of a version in order', async () => {
    const { store, writer } = await open()
    const bytes = noise(5 * 1024 * 1024)
    const info = await put(writer, 'large', bytes)
    await put(writer, 'large', 'now small')
    const refs = (await collect((await store.chunksOf('large', 1)) ?? none())).flat()
    expect(refs.length).toBeGreaterThan(16)
    let at = 0
    for (const { hash, size } of refs) {
      expect(sha256(bytes.subarray(at, at + size))).toBe(hash)
      at += size
    }
    expect(at).toBe(info.size)
    expect((await collect((await store.chunksOf('large', 2)) ?? none())).flat()).toEqual([
      { hash: sha256(Buffer.from('now small')), size: 9 },
    ])
    await put(writer, 'empty', '')
    expect((await collect((await store.chunksOf('empty', 1)) ?? none())).flat()).toEqual([])
  })

  it('is sent only what it misses of a file that changed a little', async () => {
    const { writer } = await open()
    const bytes = noise(4 * 1024 * 1024)
    await put(writer, 'large', bytes)
    let sent = 0
    const counting = {
      missing: (hashes: readonly string[]) => writer.missing(hashes),
      stage: async (chunks: Parameters<typeof writer.stage>[0]) => {
        sent += chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0)
        await writer.stage(chunks)
      },
    }
    const changed = Buffer.concat([bytes.subarray(0, 2_000_000), Buffer.from('inserted'), bytes.subarray(2_000_000)])
    const staged = await stageStream(counting, once(changed))
    expect(staged.hash).toBe(sha256(changed))
    expect(sent).toBeLessThan(1_500_000)
  })

  it('takes many small blobs by few calls', async () => {
    const { store, writer } = await open()
    let calls = 0
    const counting = {
      missing: (hashes: readonly string[]) => (calls++, writer.missing(hashes)),
      stage: (chunks: Parameters<typeof writer.stage>[0]) => (calls++, writer.stage(chunks)),
    }
    let told = 0
    const staging = openStaging(counting, { onBytes: (bytes) => (told += bytes) })
    const staged = []
    for (let index = 0; index < 600; index++) staged.push(await staging.add(once(Buffer.from(`blob ${index}`))))
    await staging.flush()
    expect(calls).toBe(2)
    expect(told).toBe(staged.reduce((sum, one) => sum + one.size, 0))
    const inputs = staged.map((one, index) =>
      entry({ ...one, type: 'put', key: `k${index}`, expect: 'absent', contentType: 'a/b', meta: {} }),
    )
    await writer.commit(inputs)
    expect(await textOf(store, 'k599')).toBe('blob 599')
  })

  it('refuses hashes that are none', async () => {
    const { writer } = await open()
    await expect(writer.missing(['../../etc/passwd'])).rejects.toMatchObject({ code: 'InvalidRequest' })
  })

  it('takes a blob that holds the same chunk many times', async () => {
    const { store, writer } = await open()
    const info = await act(writer, await putChange(writer, 'zeros', Buffer.alloc(3_000_000)))
    expect((await textOf(store, 'zeros'))?.length).toBe(info.size)
  })
}

async function* none(): AsyncGenerator<never, void> {}
