import { openMemory } from '../../src/backends/memory/memory.ts'
import { EMPTY_HASH } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import { collect, entry, listAll } from './acts.ts'

// Run where files cannot grow: only the view is on disk, and it needs more than there is.
const [viewDirectory = ''] = process.argv.slice(2)
const buckets = openBuckets({ backend: { ...openMemory(), viewDirectory }, clock, ids })
await buckets.create('bucket')
const store = await buckets.open('bucket')
const change = {
  type: 'put',
  expect: 'absent',
  hash: EMPTY_HASH,
  size: 0,
  body: { depth: 0, refs: [] },
  contentType: 'a/b',
  meta: {},
} as const
for (let round = 0; round < 4; round++) {
  const inputs = Array.from({ length: 1000 }, (_, index) => entry({ ...change, key: `folder/${round}-${index}` }))
  const outcomes = await store.commit(inputs)
  if (!outcomes.every((outcome) => outcome.ok)) throw new Error('an entry was refused')
}
const { blobs } = await store.info()
const shown = (await listAll(store, {})).flatMap((page) => page.items).length
const versions = (await collect(store.changes({}))).length
process.stdout.write(JSON.stringify({ blobs, shown, versions }))
await buckets.close()
