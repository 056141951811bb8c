import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const HEAP = join(import.meta.dirname, '..', '..', 'src', 'platform', 'heap.ts')
const MIB = 1024 * 1024

/** Largest young generation of a process that makes garbage for a while, of which some lives on, in bytes. */
function peak(before: string): number {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8'
    import { setImmediate } from 'node:timers/promises'
    ${before}
    let kept = []
    let most = 0
    for (let round = 0; round < 60; round++) {
      kept = [...kept, ...Array.from({ length: 20000 }, (_, n) => ({ n, text: String(n), list: [n] }))].slice(-100000)
      most = Math.max(most, getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size)
      await setImmediate()
    }
    console.log(most)`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' })
  expect(stderr).toBe('')
  return Number(stdout)
}

it('the young generation of a process that makes much garbage stays small', { timeout: 60_000 }, () => {
  expect(peak(`import { keepHeapSmall } from ${JSON.stringify(HEAP)}; keepHeapSmall()`)).toBeLessThanOrEqual(32 * MIB)
  // Else there is nothing to be kept any more.
  expect(peak('')).toBeGreaterThan(32 * MIB)
})
