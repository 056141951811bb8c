import { expect, it } from 'vitest'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openLogStore } from '../../src/store/log-store.ts'
import { present } from '../backends/conformance.ts'
import { fillBucket, openCountedPlace, type CountedPlace } from './counted.ts'
import { put } from './acts.ts'

const KEYS = 100_000

async function openAt(place: CountedPlace) {
  const backend = place.open()
  const ports = present(await backend.open('bucket'))
  return openLogStore({ name: 'bucket', ports, viewDirectory: null, promises: backend.promises, clock, ids })
}

async function makeBucket(place: CountedPlace): Promise<void> {
  const backend = place.open()
  await backend.create('bucket')
  await (await openAt(place)).close()
  const { log } = present(await backend.open('bucket'))
  const append = (texts: readonly { readonly id: string; readonly text: object }[]) =>
    log.append(texts.map(({ id, text }) => ({ id, data: Buffer.from(JSON.stringify(text)) })))
  await fillBucket(append, KEYS, 5)
}

async function costOf(place: CountedPlace, act: () => Promise<unknown>) {
  const before = { ...place.counts }
  await act()
  const { reads, bytes } = place.counts
  return { reads: reads - before.reads, bytes: bytes - before.bytes }
}

it('a put or a listing of a folder by a new machine in a large bucket reads a part of its checkpoint', async () => {
  const place = openCountedPlace()
  await makeBucket(place)
  const writer = await openAt(place)
  await writer.checkpoint()
  for (let n = 0; n < 10; n++) await put(writer, `folder 7/later ${n}.txt`, `text ${n}`)
  await writer.close()

  const putting = await costOf(place, async () => {
    const fresh = await openAt(place)
    await put(fresh, 'folder 7/mine.txt', 'mine')
    await fresh.close()
  })
  expect(putting.reads).toBeLessThanOrEqual(40)
  expect(putting.bytes).toBeLessThanOrEqual(4 * 1024 * 1024)

  const listing = await costOf(place, async () => {
    const reader = await openAt(place)
    const page = await reader.list({ prefix: 'folder 7/', limit: 1000 })
    expect(page.items.length).toBeGreaterThan(11)
    await reader.close()
  })
  expect(listing.reads).toBeLessThanOrEqual(40)
  expect(listing.bytes).toBeLessThanOrEqual(4 * 1024 * 1024)
}, 120_000)
