/**
 * `npm run scaling [-- growth view appends feeds fronts] [--keys 1e3,1e4,1e5] [--feeds 1000,4000] [--keep DIR] [--json]`: what it costs to keep and to
 * ask, and how that grows: the figures of docs/scaling.md. `growth` fills buckets of so many keys on a node of NATS; with `--keep` what was
 * filled is found again by the next run, for a million takes minutes. `view` is of a view by itself: ten millions take 6 GB.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { measureAppends } from './appends.ts'
import { measureFeeds } from './feeds.ts'
import { measureFronts } from './fronts.ts'
import { measureGrowth } from './growth.ts'
import { appendsTable, feedsTable, frontsTable, growthTable, viewTable } from './tables.ts'
import { measureViews } from './view.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    keys: { type: 'string', default: '1e3,1e4,1e5' },
    feeds: { type: 'string', default: '1000,4000' },
    fronts: { type: 'string', default: '1,3' },
    keep: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

/** Each gives what it found as it goes, for it takes its time, and all of it as a table. */
const PARTS: Readonly<Record<string, (directory: string, found: (one: object) => void) => Promise<string>>> = {
  growth: (directory, found) =>
    gathered(found, growthTable, (onGrown) => measureGrowth({ directory, keys: numbers(values.keys), onGrown })),
  view: (directory, found) =>
    gathered(found, viewTable, (onViewed) => measureViews(directory, numbers(values.keys), onViewed)),
  appends: (directory, found) => gathered(found, appendsTable, (onAppended) => measureAppends(directory, onAppended)),
  feeds: (_, found) => gathered(found, feedsTable, (onFeeds) => measureFeeds(numbers(values.feeds), onFeeds)),
  fronts: (_, found) => gathered(found, frontsTable, (onFronts) => measureFronts(numbers(values.fronts), onFronts)),
}
const wanted = positionals.length > 0 ? positionals : Object.keys(PARTS)
const unknown = wanted.filter((name) => !(name in PARTS))
if (unknown.length > 0) {
  console.error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`)
  process.exit(2)
}
for (const name of wanted) await measure(name)

async function measure(name: string): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'blobs-scaling-'))
  const kept = values.keep === undefined ? directory : resolve(values.keep)
  mkdirSync(kept, { recursive: true })
  try {
    const found = (one: object): void => {
      if (values.json) console.log(JSON.stringify({ part: name, ...one }))
    }
    const table = await PARTS[name]?.(name === 'growth' ? kept : directory, found)
    if (!values.json) console.log(`${table}\n`)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

async function gathered<T extends object>(
  found: (one: T) => void,
  table: (all: readonly T[]) => string,
  act: (on: (one: T) => void) => Promise<void>,
): Promise<string> {
  const all: T[] = []
  await act((one) => {
    all.push(one)
    found(one)
  })
  return table(all)
}

function numbers(list: string): readonly number[] {
  const all = list.split(',').map(Number)
  if (all.every((one) => Number.isSafeInteger(one) && one > 0)) return all
  console.error(`${list} is no list of numbers, as 1e3,1e4`)
  process.exit(2)
}
