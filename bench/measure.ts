import { execFileSync, spawnSync } from 'node:child_process'

/** One figure, and what it is to be compared with. */
export interface Result {
  readonly what: string
  readonly value: number
  readonly unit: 'ms' | 's' | 'MiB/s'
  readonly base?: { readonly what: string; readonly value: number }
}

/** The middle of `times` runs, in milliseconds. */
export async function median(times: number, act: () => unknown): Promise<number> {
  const spans: number[] = []
  for (let i = 0; i < times; i++) spans.push(await span(act))
  return percentile(spans, 50)
}

/** How long it took, in milliseconds. */
export async function span(act: () => unknown): Promise<number> {
  const started = performance.now()
  await act()
  return performance.now() - started
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN
}

export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0
}

/** Runs a program of the machine; throws when it fails. */
export function system(program: string, args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
