import { randomBytes } from 'node:crypto'
import { sha256 } from '../../../src/content/hash.ts'
import { put } from '../../store/acts.ts'
import { bucketsAt } from './open.ts'

// A process that is to be killed: it writes to a bucket without end, several at once, and tells what was acknowledged.
const [url = '', env = '{}', home = '', bucket = ''] = process.argv.slice(2)
const buckets = await bucketsAt(url, { env: JSON.parse(env) as Record<string, string> }, home)
const store = await buckets.open(bucket)
const run = randomBytes(4).toString('hex')
process.stdout.write('["ready"]\n')
const write = async (writer: number): Promise<never> => {
  for (let n = 0; ; n++) {
    const bytes = randomBytes(n % 4 === 3 ? 300_000 : 2000)
    const { key, version } = await put(store, `${run}/${writer}-${n % 5}`, bytes)
    process.stdout.write(`${JSON.stringify([key, version, sha256(bytes)])}\n`)
  }
}
await Promise.all([0, 1, 2].map(write))
