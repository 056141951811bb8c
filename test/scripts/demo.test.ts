import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../../scripts/harness.ts'

it('the demo ends within a minute with both folders and the bucket the same', { timeout: 90_000 }, () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts', 'demo.ts')], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  expect(stderr).toBe('')
  expect(stdout).toMatch(/both folders and the bucket hold the same, after [\d.]+ s\n$/)
  expect(status).toBe(0)
})
