/** What a benchmark found, and how it stands against what was aimed at. Pure. */

export type Unit = 'ms' | 'MiB' | 'per second' | 'bytes' | '%' | 'µs'

/** One contender's runs, in the row's unit. */
export interface Figure {
  readonly name: string
  readonly values: readonly number[]
}

/** A bound of the figure `of`: of its ratio to the figure `to`, or when that is null of the figure itself, in the row's unit. */
export interface Target {
  readonly of: string
  readonly to: string | null
  readonly bound: 'at most' | 'at least'
  readonly limit: number
}

/** One line of the comparison: the same work done by several. */
export interface Row {
  /** `measure.row`. */
  readonly id: string
  readonly what: string
  readonly unit: Unit
  readonly figures: readonly Figure[]
  readonly targets: readonly Target[]
  /** What a reader must know: a peer that is missing, fewer runs, a promise that is not the same. */
  readonly notes: readonly string[]
}

export function atMost(limit: number, to: string | null, of: string = OURS): Target {
  return { of, to, bound: 'at most', limit }
}

export function atLeast(limit: number, to: string | null, of: string = OURS): Target {
  return { of, to, bound: 'at least', limit }
}

export const OURS = 'blobs'

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

/** Of an even number of values the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) / 2
  return ((sorted[Math.floor(at)] ?? Number.NaN) + (sorted[Math.ceil(at)] ?? Number.NaN)) / 2
}

/** How a target stands. `reached` is the ratio, or the figure itself; `met` is null when one of the two was not measured. */
export interface Verdict {
  readonly target: Target
  readonly reached: number
  readonly met: boolean | null
}

export function judge(row: Row, target: Target): Verdict {
  const valueOf = (name: string): number => median(row.figures.find((figure) => figure.name === name)?.values ?? [])
  const reached = target.to === null ? valueOf(target.of) : valueOf(target.of) / valueOf(target.to)
  if (Number.isNaN(reached)) return { target, reached, met: null }
  return { target, reached, met: target.bound === 'at most' ? reached <= target.limit : reached >= target.limit }
}

/** Rows of a new run take the place of those with the same id, others are kept; in the order of `order`, which names measures. */
export function merge(kept: readonly Row[], fresh: readonly Row[], order: readonly string[]): Row[] {
  const rows = new Map([...kept, ...fresh].map((row) => [row.id, row]))
  const rank = (row: Row): number => order.indexOf(measureOf(row.id))
  return [...rows.values()].filter((row) => rank(row) >= 0).toSorted((a, b) => rank(a) - rank(b))
}

export function measureOf(id: string): string {
  return id.split('.')[0] ?? id
}

/** Median of the milliseconds of so many calls, one after the other. */
export async function times(count: number, act: (n: number) => Promise<unknown>): Promise<number> {
  const spans: number[] = []
  for (let n = 0; n < count; n++) {
    const started = performance.now()
    await act(n)
    spans.push(performance.now() - started)
  }
  return median(spans)
}
