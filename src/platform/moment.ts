import type { Clock } from './ports.ts'

/** A moment by both clocks: one stands still while the machine sleeps, the other may be set. */
export type Moment = readonly [elapsed: number, now: number]

export function momentOf(clock: Pick<Clock, 'elapsed' | 'now'>): Moment {
  return [clock.elapsed(), clock.now()]
}

/** Milliseconds since then, by the clock that says more. */
export function since(clock: Pick<Clock, 'elapsed' | 'now'>, [elapsed, now]: Moment): number {
  return Math.max(clock.elapsed() - elapsed, clock.now() - now)
}
