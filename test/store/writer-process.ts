import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import { commit, entry, putChange, told } from './acts.ts'

// A process that adds to the counter `k` so many times, each time expecting what it read, and tells what it was told of it.
const [directory = '', rounds = '', until = ''] = process.argv.slice(2)
const buckets = openBuckets({ backend: await openLocal({ directory, clock }), clock, ids })
const store = await buckets.open('bucket')
const seen: string[] = []
const watching = (async () => {
  const stop = new AbortController()
  for await (const item of store.changes({ live: true, signal: stop.signal })) {
    if (item.type === 'bookmark') continue
    seen.push(told(item))
    if (item.version === Number(until)) stop.abort()
  }
})()
let conflicts = 0
for (let done = 0; done < Number(rounds);) {
  const current = await store.head('k')
  const expect = current === null ? 'absent' : ({ version: current.version, hash: current.hash } as const)
  const outcome = await commit(store, entry(await putChange(store, 'k', `${(current?.version ?? 0) + 1}`, { expect })))
  if (outcome.ok) done += 1
  else conflicts += 1
}
await watching
const page = await store.list({ versions: true })
const versions = page.items.map(({ version, hash, entry }) => `${version} ${hash} ${entry}`)
process.stdout.write(JSON.stringify({ seen, versions, cursor: page.cursor, conflicts }))
await buckets.close()
