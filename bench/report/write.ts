import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { merge, type Row } from '../figures.ts'
import type { ProfileOf } from '../profile/report.ts'
import { chartOf } from './chart.ts'
import { withParts } from './document.ts'
import { describeMachine } from './machine.ts'
import { markdownOf, notesOf } from './table.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const RESULTS = join(ROOT, 'bench', 'results.json')
const DOCUMENT = join(ROOT, 'docs', 'performance.md')
const MAX_FLAME = 60_000
const CHART = join(ROOT, 'docs', 'performance.svg')

/** Merges what was measured with what is known and writes all three files. `order` is that of the measures. */
export function writeReport(fresh: readonly Row[], order: readonly string[]): void {
  const kept = existsSync(RESULTS) ? (JSON.parse(readFileSync(RESULTS, 'utf8')) as readonly Row[]) : []
  const rows = merge(kept, fresh, order)
  write(RESULTS, `${JSON.stringify(rows.map(rounded), null, 1)}\n`)
  write(CHART, chartOf(rows))
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : null
  const day = new Date().toISOString().slice(0, 10)
  write(
    DOCUMENT,
    withParts(document, [
      ['figures', `![What was reached against what was aimed at](performance.svg)\n\n${markdownOf(rows)}`],
      ['notes', `## How it was measured\n\n${describeMachine(day)}\n\n${notesOf(rows)}`],
    ]),
  )
}

/** One section for a measure, and a flame graph for each of its processes that is small enough to be kept. */
export function writeProfiles(measure: string, profiles: readonly ProfileOf[]): void {
  const sections = profiles.map(({ role, text, flame }) => {
    if (flame.length > MAX_FLAME) return text
    write(join(ROOT, 'docs', 'profiles', `${measure}-${role}.svg`), flame)
    return `${text}\n- [flame graph](profiles/${measure}-${role}.svg)`
  })
  const document = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, 'utf8') : null
  const text = `### Where the time goes: ${measure}\n\n${sections.join('\n\n')}`
  write(DOCUMENT, withParts(document, [[`profile of ${measure}`, text]]))
}

function rounded(row: Row): Row {
  const figures = row.figures.map(({ name, values }) => ({
    name,
    values: values.map((value) => Number(value.toPrecision(4))),
  }))
  return { ...row, figures }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
