import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import { openBuckets } from '../../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../../src/store/contract/blob-store.ts'
import type { Finding } from '../../../src/store/contract/findings.ts'
import { commit, entry, put, putChange } from '../acts.ts'
import { openCountedPlace, type CountedPlace } from '../counted.ts'
import { noise } from '../noise.ts'

let place: CountedPlace
let buckets: Buckets
let store: BlobStore
beforeEach(async () => {
  place = openCountedPlace()
  buckets = openBuckets({ backend: place.open(), clock, ids })
  await buckets.create('one')
  store = await buckets.open('one')
})
afterEach(async () => {
  await store.close()
  await buckets.close()
})

const nameOf = (hash: string): string => [...place.objects.keys()].find((name) => name.endsWith(hash)) ?? ''
async function scrub() {
  const findings: Finding[] = []
  let paced = 0
  const inspection = {
    report: (finding: Finding): void => void findings.push(finding),
    pace: async (bytes: number): Promise<void> => void (paced += bytes),
  }
  const scrubbed = await buckets.scrub?.('one', inspection)
  return { findings, scrubbed, paced }
}
const found = (findings: readonly Finding[]) => findings.map(({ code, key, version }) => [code, key, version])

describe('a scrub', () => {
  it('reads every byte once, and finds nothing wrong with what is whole', async () => {
    await put(store, 'small', 'text')
    await put(store, 'long', noise(3_000_000))
    const { findings, scrubbed, paced } = await scrub()
    expect(findings).toEqual([])
    expect(scrubbed).toMatchObject({ damaged: 0, versions: 2 })
    expect(paced).toBe(scrubbed?.bytes)
    expect(paced).toBeGreaterThan(3_000_000)
  })

  it('tells each version that a damaged or lost chunk, or list of chunks, takes bytes from', async () => {
    await put(store, 'a', 'first')
    const { hash } = await put(store, 'a', 'second')
    await put(store, 'same', 'second')
    const gone = await put(store, 'gone', 'lost')
    const long = await putChange(store, 'long', noise(3_000_000))
    await commit(store, entry(long))
    const list = 'refs' in long.body ? (long.body.refs[0]?.hash ?? '') : ''
    const unnamed = await putChange(store, 'never', 'not committed')
    for (const each of [hash, list, unnamed.hash]) place.objects.set(nameOf(each), Buffer.from('altered'))
    place.objects.delete(nameOf(gone.hash))
    const { findings, scrubbed } = await scrub()
    expect(found(findings)).toEqual([
      ['content', 'a', 2],
      ['content', 'same', 1],
      ['content', 'gone', 1],
      ['content', 'long', 1],
      ['chunk', undefined, undefined],
    ])
    expect(findings[4]?.message).toContain(unnamed.hash)
    expect(findings.every(({ severity }) => severity === 'damage')).toBe(true)
    expect(scrubbed).toMatchObject({ damaged: 3, versions: 5 })
  })

  it('does not take what is set aside for lost', async () => {
    const { hash } = await put(store, 'a', 'text')
    const name = nameOf(hash)
    const bytes = place.objects.get(name) ?? Buffer.of()
    place.objects.delete(name)
    place.objects.set(`${name.replace('/content/', '/aside/')}.${ids.next()}`, bytes)
    await put(store, 'b', 'other')
    expect((await scrub()).findings).toEqual([])
  })
})
