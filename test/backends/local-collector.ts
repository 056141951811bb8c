/** A process that collects the garbage of a local store again and again: `local-collector.ts DIRECTORY`. */
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'

const [directory = ''] = process.argv.slice(2)
const backend = await openLocal({ directory, clock, packBytes: 1024 * 1024 })
const buckets = openBuckets({ backend, clock, ids })
process.stdout.write('ready\n')
await buckets.collect?.('one', { grace: 3_600_000 })
process.stdout.write('done\n')
await buckets.close()
