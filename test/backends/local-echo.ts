/** Answers each entry in the bucket `load` with one of its own: `local-echo.ts DIRECTORY COUNT`. */
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { entries, present } from './conformance.ts'

const [directory = '', count = '0'] = process.argv.slice(2)
const backend = await openLocal({ directory, clock })
const { log } = present(await backend.open('load'))
const signal = new AbortController().signal
process.stdout.write('ready\n')
for (let turn = 0, after = 0; turn < Number(count); turn++) {
  await log.wait({ after, signal })
  after = present((await log.append(entries(1)))[0])
}
await backend.close()
