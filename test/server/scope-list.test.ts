import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { listWithin } from '../../src/server/scope-list.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import type { ListOptions } from '../../src/store/contract/types.ts'
import { EMPTY_HASH } from '../../src/content/hash.ts'

const SEGMENTS = ['a', 'a-', 'ab', 'b', 'é']
const KEYS = SEGMENTS.flatMap((one) => [
  one,
  `${one}/`,
  ...SEGMENTS.flatMap((two) => [`${one}/${two}`, `${one}/${two}/x`]),
])

let buckets: Buckets
let all: BlobStore
beforeAll(async () => {
  buckets = openBuckets({ backend: openMemory(), clock, ids })
  all = await storeOf('all', KEYS)
})
afterAll(() => buckets.close())

async function storeOf(name: string, keys: readonly string[]): Promise<BlobStore> {
  await buckets.create(name)
  const store = await buckets.open(name)
  const put = (key: string) => ({
    type: 'put' as const,
    key,
    expect: 'any' as const,
    hash: EMPTY_HASH,
    size: 0,
    body: { depth: 0, refs: [] },
    contentType: 'a/b',
    meta: {},
  })
  for (let version = 1; version <= 3 && keys.length > 0; version++) {
    await store.commit([{ id: ids.next(), changes: keys.map(put) }])
  }
  return store
}

async function pages(list: (options: ListOptions) => ReturnType<BlobStore['list']>, options: ListOptions) {
  const items: string[] = []
  const prefixes: string[] = []
  let after = options.after
  for (let round = 0; round < 500; round++) {
    const page = await list({ ...options, ...(after === undefined ? {} : { after }) })
    items.push(...page.items.map((item) => `${item.key}@${item.version}`))
    prefixes.push(...page.prefixes)
    if (page.complete) return { items, prefixes }
    expect(page.next).toBeDefined()
    after = page.next
  }
  throw new Error('it never ends')
}

describe('a confined listing', () => {
  it('is that of a bucket which holds nothing else, by pages of any size', async () => {
    let count = 0
    const path = fc.array(fc.constantFrom(...SEGMENTS), { minLength: 1, maxLength: 2 }).map((parts) => parts.join('/'))
    await fc.assert(
      fc.asyncProperty(
        fc.array(path, { minLength: 1, maxLength: 3 }),
        fc.constantFrom('', 'a', 'a/', 'a/a', 'a/ab/', 'b', 'b/b/', 'é/'),
        fc.boolean(),
        fc.integer({ min: 1, max: 9 }),
        fc.option(fc.constantFrom(...KEYS), { nil: undefined }),
        fc.boolean(),
        async (allowed, prefix, folded, limit, after, versions) => {
          const readable = KEYS.filter((key) => allowed.some((one) => key === one || key.startsWith(`${one}/`)))
          const model = await storeOf(`model${count++}`, readable)
          const options: ListOptions = {
            prefix,
            limit,
            versions,
            ...(folded ? { delimiter: '/' } : {}),
            ...(after === undefined ? {} : { after }),
          }
          const touches = allowed.some(
            (one) => one.startsWith(prefix) || prefix.startsWith(`${one}/`) || `${one}/` === prefix,
          )
          if (!touches) {
            await expect(listWithin(all, allowed, options)).rejects.toMatchObject({ code: 'Forbidden' })
            return
          }
          const expected = await pages((asked) => model.list(asked), options)
          expect(await pages((asked) => listWithin(all, allowed, asked), options)).toEqual(expected)
        },
      ),
      { numRuns: 300 },
    )
  })
})
