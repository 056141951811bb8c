/**
 * `npm run soak -- --minutes M --seed S`: a server, three agents that keep a folder each in sync with one bucket, and people who save in
 * all the ways that programs save, while agents and server are killed and networks are cut, at random. Every few seconds all comes to
 * rest: then the folders must be equal, and every byte that was ever saved must be found. Exit code 0 only if nothing was found wrong;
 * else the folders are kept for a look. A seed gives the same work, kills and cuts, as far as time allows.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openPlace } from './harness.ts'
import { soak, type SoakReport } from './soak/soak.ts'

const { values } = parseArgs({ options: { minutes: { type: 'string' }, seed: { type: 'string' } } })
const minutes = Number(values.minutes ?? 3)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run soak -- [--minutes M] [--seed S]')
  process.exit(2)
}

const place = openPlace('blobs-soak-')
console.log(`soak of ${minutes} min with seed ${seed} in ${place.folder}`)
const report = await soak({
  seed,
  milliseconds: minutes * 60_000,
  place,
  onQuiet: ({ took, files, siblings, findings }, ms) => {
    const rest = took === null ? 'no rest' : `at rest after ${(took / 1000).toFixed(1)} s`
    const wrong = findings.map(({ law }) => `, BROKEN: ${law}`).join('')
    console.log(`${(ms / 1000).toFixed(0).padStart(5)} s  ${rest}, ${files} files, ${siblings} siblings${wrong}`)
  },
})
show(report)
if (report.findings.length === 0) await place.dispose()
else {
  const folder = join(place.folder, 'findings')
  mkdirSync(folder)
  for (const [index, { law, text }] of report.findings.entries()) {
    console.log(`\n--- ${index + 1}. ${law}\n${text.split('\n').slice(0, 40).join('\n')}`)
    writeFileSync(join(folder, `${index + 1}.txt`), `${law}\n${text}\n`)
  }
  for (const [name, lines] of report.logs) writeFileSync(join(folder, `${name}.log`), `${lines.join('\n')}\n`)
  console.log(`\n${report.findings.length} findings with seed ${seed}; everything is kept in ${place.folder}`)
  process.exitCode = 1
}

function show({ edits, chaos, events, ledger, ...rest }: SoakReport): void {
  const told = new Set([
    'uploaded',
    'downloaded',
    'deleted-local',
    'deleted-remote',
    'renamed',
    'conflict',
    'resurrected',
    'failed',
    'relinked',
  ])
  table('edits', edits)
  table('kills and cuts', chaos)
  table('what the agents did', new Map([...events].filter(([type]) => told.has(type))))
  table(
    'ledger',
    new Map([
      ['saves', ledger.saves],
      ['excused: overwritten or deleted by their writer before any sync', ledger.excused],
      ['versions that the bucket told of', ledger.witnessed],
      ['quiet points', rest.quietPoints],
      ['slowest quiet point, ms', Math.round(rest.slowestQuiet)],
      ['files at the end', rest.files],
      ['conflict files at the end', rest.siblings],
      ['findings', rest.findings.length],
    ]),
  )
}

function table(title: string, rows: ReadonlyMap<string, number>): void {
  console.log(`\n${title}`)
  for (const [name, n] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1)))
    console.log(`  ${String(n).padStart(7)}  ${name}`)
}
