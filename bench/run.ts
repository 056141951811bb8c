/**
 * `npm run bench [-- NAME…]`: how long the everyday things take, and other programs with the same work in the same run. A name is a
 * measure (`tree`) or a row of one (`tree.up`). `--write` puts what was found into docs/performance.md, beside what was found before.
 * `--note` adds what a reader of the rows must know of this run. `--profile` says instead what our own processes spend their time on.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openBench, type Bench, type Settings } from './bench.ts'
import { measureOf } from './figures.ts'
import { measureGrowth } from './measures/growth.ts'
import { measureServer } from './measures/server.ts'
import { measureS3 } from './measures/s3.ts'
import { measureIdle } from './measures/idle.ts'
import { measureInsert } from './measures/insert.ts'
import { measureLarge } from './measures/large.ts'
import { measureLatency } from './measures/latency.ts'
import { measureMany } from './measures/many.ts'
import { measureRename } from './measures/rename.ts'
import { measureRest } from './measures/rest.ts'
import { measureStartup } from './measures/startup.ts'
import { measureTree } from './measures/tree.ts'
import { tableOf } from './report/table.ts'
import { readProfiles } from './profile/report.ts'
import { writeProfiles, writeReport } from './report/write.ts'

const MEASURES: Readonly<Record<string, (bench: Bench) => Promise<void>>> = {
  startup: measureStartup,
  tree: measureTree,
  many: measureMany,
  idle: measureIdle,
  large: measureLarge,
  insert: measureInsert,
  rename: measureRename,
  latency: measureLatency,
  rest: measureRest,
  server: measureServer,
  growth: measureGrowth,
  s3: measureS3,
}
const NAMES = Object.keys(MEASURES)

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string' },
    seconds: { type: 'string', default: '100' },
    'no-peers': { type: 'boolean', default: false },
    million: { type: 'boolean', default: false },
    note: { type: 'string', multiple: true, default: [] },
    profile: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const unknown = positionals.filter((name) => !(measureOf(name) in MEASURES))
if (unknown.length > 0) {
  console.error(`no such measure: ${unknown.join(', ')}; there are ${NAMES.join(', ')}`)
  process.exit(2)
}
const settings: Settings = {
  seconds: Number(values.seconds),
  // A profile costs time itself: what it measures is no figure to be kept.
  runs: values.profile ? 1 : values.runs === undefined ? null : Number(values.runs),
  alone: values['no-peers'] || values.profile,
  wanted: positionals,
  million: values.million,
  profiles: values.profile ? mkdtempSync(join(tmpdir(), 'blobs-profiles-')) : null,
}

for (const name of NAMES) {
  if (positionals.length > 0 && !positionals.some((one) => measureOf(one) === name)) continue
  const bench = openBench(name, settings, (found) => {
    const row = { ...found, notes: [...found.notes, ...values.note] }
    if (values.write && settings.profiles === null) writeReport([row], NAMES)
    console.log(tableOf([row]))
  })
  const end = (): void => void bench.place.dispose().then(() => process.exit(1))
  process.once('SIGINT', end).once('SIGTERM', end)
  try {
    await MEASURES[name]?.(bench)
  } finally {
    process.off('SIGINT', end).off('SIGTERM', end)
    await bench.place.dispose()
  }
}
if (settings.profiles !== null) reportProfiles(settings.profiles)

/** Each measure has a folder. */
function reportProfiles(folder: string): void {
  for (const measure of readdirSync(folder)) {
    const profiles = readProfiles(join(folder, measure))
    for (const { text } of profiles) console.log(`${text}\n`)
    if (values.write) writeProfiles(measure, profiles)
  }
  rmSync(folder, { recursive: true })
}
