import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('a command that stops half way has not succeeded', () => {
  const root = mkdtempSync(join(tmpdir(), 'blobs-main-'))
  try {
    mkdirSync(join(root, 'commands'))
    const command = "export default class Hang { static id = 'hang'; static run() { return new Promise(() => {}) } }"
    writeFileSync(join(root, 'commands', 'hang.js'), command)
    const oclif = { bin: 'x', commands: './commands' }
    const pjson = JSON.stringify({ name: 'x', version: '1.0.0', type: 'module', oclif })
    writeFileSync(join(root, 'package.json'), pjson)
    const main = join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts')
    const script = `import(${JSON.stringify(main)}).then(({ main }) => main(['hang'], { root: ${JSON.stringify(root)}, pjson: ${pjson} }))`
    const { status, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', cwd: root })
    expect(stderr).toContain('came to a stop before it was done')
    expect(status).toBe(1)
  } finally {
    rmSync(root, { recursive: true })
  }
})
