import type { Ids } from './ports.ts'

/** A number from 0 to below 1. */
export function chanceBy(ids: Ids): number {
  return Number.parseInt(ids.next().slice(0, 8), 16) / 2 ** 32
}
