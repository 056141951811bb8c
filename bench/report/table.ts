import { judge, median, type Row, type Target, type Unit, type Verdict } from '../figures.ts'

/** For a terminal: a line a figure, with its ratio to each that a target names. */
export function tableOf(rows: readonly Row[]): string {
  return rows.map((row) => [`${row.what}  [${row.id}]`, ...lines(row), ''].join('\n')).join('\n')
}

function lines(row: Row): string[] {
  const figures = row.figures.map(({ name, values }) => {
    const spread =
      values.length > 1 ? ` (${show(Math.min(...values), row.unit)} – ${show(Math.max(...values), row.unit)})` : ''
    return `  ${name.padEnd(34)} ${show(median(values), row.unit).padStart(12)}${spread}`
  })
  const verdicts = row.targets.map((target) => `  → ${verdictText(row, target)}`)
  return [...figures, ...verdicts, ...row.notes.map((note) => `  note: ${note}`)]
}

/** For the document. */
export function markdownOf(rows: readonly Row[]): string {
  const head = '| work | measured (median) | aimed at | reached | |\n| --- | --- | --- | --- | --- |'
  return `${[head, ...rows.map(markdownRow)].join('\n')}\n`
}

function markdownRow(row: Row): string {
  const figures = row.figures.map(({ name, values }) => `${cell(name)} ${show(median(values), row.unit)}`)
  const verdicts = row.targets.map((target) => judge(row, target))
  return `| ${[
    cell(row.what),
    figures.join('<br>'),
    verdicts.map(({ target }) => cell(aim(target, row.unit))).join('<br>') || '–',
    verdicts.map((verdict) => cell(reach(verdict, row.unit))).join('<br>') || '–',
    verdicts.map(({ met }) => (met === null ? '?' : met ? 'met' : '**not met**')).join('<br>'),
  ].join(' | ')} |`
}

/** What a reader must know of the figures: a list, or nothing. */
export function notesOf(rows: readonly Row[]): string {
  const lines_ = rows.flatMap((row) => row.notes.map((note) => `- ${row.what}: ${note}`))
  return lines_.length === 0 ? '' : `${lines_.join('\n')}\n`
}

function verdictText(row: Row, target: Target): string {
  const verdict = judge(row, target)
  const word = verdict.met === null ? 'not measured' : verdict.met ? 'met' : 'NOT MET'
  return `${target.of}: ${reach(verdict, row.unit)}, aimed at ${aim(target, row.unit)}: ${word}`
}

function aim({ to, bound, limit }: Target, unit: Unit): string {
  const sign = bound === 'at most' ? '≤' : '≥'
  return to === null ? `${sign} ${show(limit, unit)}` : `${sign} ${limit} × ${to}`
}

function reach({ target, reached }: Verdict, unit: Unit): string {
  if (Number.isNaN(reached)) return '–'
  return target.to === null ? show(reached, unit) : `${reached.toFixed(2)} × ${target.to}`
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}

function show(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return '–'
  if (unit === 'ms' && value >= 10_000) return `${(value / 1000).toFixed(1)} s`
  if (unit === 'ms' && value >= 1000) return `${(value / 1000).toFixed(2)} s`
  if (unit === 'bytes' && value >= 1024 ** 2) return `${(value / 1024 ** 2).toFixed(2)} MiB`
  if (unit === 'bytes' && value >= 1024) return `${(value / 1024).toFixed(1)} KiB`
  const digits = value < 10 && !Number.isInteger(value) ? 2 : value < 100 && !Number.isInteger(value) ? 1 : 0
  const text = digits === 0 ? Math.round(value).toLocaleString('en-US') : value.toFixed(digits)
  return unit === '%' ? `${text} %` : unit === 'per second' ? `${text}/s` : `${text} ${unit}`
}
