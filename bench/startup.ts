import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROGRAM, type Place } from '../scripts/harness.ts'
import { median, type Result } from './measure.ts'

const RUNS = 31

/** From the start of a process to its end. */
export async function* measureStartup(place: Place): AsyncGenerator<Result> {
  const machine = place.machine('home')
  await machine.must(['bucket', 'create', 'first'])
  const empty = join(place.folder, 'empty.cjs')
  writeFileSync(empty, '')
  const run = (...args: string[]): Promise<number> =>
    median(RUNS, () => {
      const { status, stderr } = spawnSync(process.execPath, args, { env: machine.env, encoding: 'utf8' })
      if (status !== 0) throw new Error(stderr)
    })
  const bare = { what: 'bare node', value: await run(empty) }
  yield { ...bare, unit: 'ms' }
  yield { what: 'blobs --version', value: await run(PROGRAM, '--version'), unit: 'ms', base: bare }
  yield { what: 'blobs ls (embedded store)', value: await run(PROGRAM, 'ls'), unit: 'ms', base: bare }
}
