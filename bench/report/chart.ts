import { judge, type Row, type Verdict } from '../figures.ts'

const WIDTH = 860
const LABEL = 390
const LINE = 26
const TOP = 48
/** Where a bar meets its target; the scale is that of a logarithm, four times better or worse on each side. */
const MIDDLE = LABEL + (WIDTH - LABEL - 20) / 2
const HALF = (WIDTH - LABEL - 90) / 2
const SPAN = Math.log(4)

/** Bars of what was reached against what was aimed at, one a target: left of the line is better. Readable on light and dark. */
export function chartOf(rows: readonly Row[]): string {
  const bars = rows.flatMap((row) =>
    row.targets.map((target) => ({ row, verdict: judge(row, target) })).filter(({ verdict }) => verdict.met !== null),
  )
  const height = TOP + bars.length * LINE + 16
  const body = bars.map(({ row, verdict }, index) => bar(row, verdict, TOP + index * LINE))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="What was reached against what was aimed at">
<style>
text { font: 12px system-ui, sans-serif; fill: #24292f }
.met { fill: #2da44e }
.not { fill: #d1582c }
.line { stroke: #57606a; stroke-dasharray: 3 3 }
.back { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .line { stroke: #8d96a0 } .back { fill: #0d1117 } }
</style>
<rect class="back" width="${WIDTH}" height="${height}" rx="6"/>
<text x="${MIDDLE}" y="18" text-anchor="middle">what was aimed at</text>
<text x="${MIDDLE - 12}" y="36" text-anchor="end">← better</text>
<text x="${MIDDLE + 12}" y="36">worse →</text>
<line class="line" x1="${MIDDLE}" y1="24" x2="${MIDDLE}" y2="${height - 10}"/>
${body.join('\n')}
</svg>
`
}

function bar(row: Row, verdict: Verdict, y: number): string {
  const { target, reached, met } = verdict
  const share = target.bound === 'at most' ? reached / target.limit : target.limit / reached
  const length = Math.max(-1, Math.min(1, Math.log(Math.max(share, 1e-9)) / SPAN)) * HALF
  const x = length < 0 ? MIDDLE + length : MIDDLE
  const at = length < 0 ? MIDDLE + length - 6 : MIDDLE + length + 6
  const anchor = length < 0 ? 'end' : 'start'
  const name = `${plain(row.what)}${target.of === 'blobs' ? '' : ` (${target.of})`}`
  const said = share < 0.1 ? '< 0.1' : share > 10 ? '> 10' : share.toFixed(2)
  return [
    `<text x="${LABEL - 8}" y="${y + 14}" text-anchor="end">${escape(short(name))}</text>`,
    `<rect class="${met ? 'met' : 'not'}" x="${x.toFixed(1)}" y="${y + 3}" width="${Math.max(1, Math.abs(length)).toFixed(1)}" height="${LINE - 10}" rx="2"/>`,
    `<text x="${at.toFixed(1)}" y="${y + 14}" text-anchor="${anchor}">${said}</text>`,
  ].join('')
}

function plain(text: string): string {
  return text.replaceAll('`', '')
}

function short(text: string): string {
  return text.length <= 58 ? text : `${text.slice(0, 57)}…`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
