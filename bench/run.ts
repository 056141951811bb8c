/**
 * `npm run bench [-- NAME…]`: how long the everyday things take, against what the machine itself can do in the same run. Medians, in
 * milliseconds unless said otherwise; compare the ratios, not the milliseconds.
 */
import { openPlace } from '../scripts/harness.ts'
import { measureLarge } from './large.ts'
import { measureLatency } from './latency.ts'
import { measureStartup } from './startup.ts'
import { measureTree } from './tree.ts'
import type { Result } from './measure.ts'

const MEASURES = { startup: measureStartup, tree: measureTree, large: measureLarge, latency: measureLatency }
type Name = keyof typeof MEASURES

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in MEASURES))
if (unknown.length > 0) {
  console.error(`no such measure: ${unknown.join(', ')}; there are ${Object.keys(MEASURES).join(', ')}`)
  process.exit(2)
}

console.log(`Node ${process.versions.node}, ${process.platform} ${process.arch}\n`)
for (const name of Object.keys(MEASURES) as Name[]) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const place = openPlace(`blobs-bench-${name}-`)
  try {
    for await (const result of MEASURES[name](place)) print(result)
  } finally {
    await place.dispose()
  }
}

function print({ what, value, unit, base }: Result): void {
  const ratio = base === undefined ? '' : `${(value / base.value).toFixed(2)} × ${base.what}`
  const digits = value < 100 ? 1 : 0
  console.log(`${what.padEnd(52)} ${value.toFixed(digits).padStart(9)} ${unit.padEnd(6)} ${ratio}`.trimEnd())
}
