import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { killStore } from '../../scripts/kill-store.ts'

// `npm run kill-store -- --kills 200 --seed S` does the same for longer. A failure names the seed.
test('20 processes are killed while they write or repair: all that was acknowledged is there, and nothing half', async () => {
  const report = await killStore({ kills: 20, seed: randomInt(1_000_000), life: 400 })
  expect(report.kills).toBeGreaterThanOrEqual(20)
  expect(report.puts).toBeGreaterThan(0)
}, 120_000)
