import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const CRUISER = [
  '--import',
  join(ROOT, 'scripts/typescript-for-layers.ts'),
  join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruiser.mjs'),
]

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'blobs-layers-'))
  for (const file of ['.dependency-cruiser.cjs', 'tsconfig.json', 'package.json'])
    cpSync(join(ROOT, file), join(folder, file))
})
afterEach(() => rmSync(folder, { recursive: true }))

function brokenRules(files: Record<string, string>): string[] {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
  const args = [...CRUISER, 'src', '--config', '.dependency-cruiser.cjs', '--output-type', 'json']
  let report: string
  try {
    report = execFileSync(process.execPath, args, {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch (error) {
    report = (error as { stdout: string }).stdout
  }
  const { summary } = JSON.parse(report) as {
    summary: { totalCruised: number; violations: { rule: { name: string } }[] }
  }
  expect(summary.totalCruised).toBeGreaterThanOrEqual(Object.keys(files).length)
  return summary.violations.map((violation) => violation.rule.name)
}

// The checker reads TypeScript through a parser of its own: were that missing, it would find nothing and call it clean.
describe('the layer law', () => {
  it('takes a tree that keeps it', () => {
    const files = {
      'src/sync/a.ts': "import type { B } from './core/b.ts'\nexport type A = B\n",
      'src/sync/core/b.ts': 'export type B = 1\n',
    }
    expect(brokenRules(files)).toEqual([])
  })
  it.each([
    [
      'a type taken from a room out of reach',
      'src/sync/a.ts',
      "import type { X } from '../server/x.ts'\nexport type A = X\n",
      'sync-imports-only-its-neighbours',
    ],
    [
      'the system in the pure core',
      'src/sync/core/a.ts',
      "import { readFileSync } from 'node:fs'\nreadFileSync('x')\n",
      'sync-core-is-pure',
    ],
    [
      'a command that opens files',
      'src/commands/a.ts',
      "import { readFileSync } from 'node:fs'\nreadFileSync('x')\n",
      'commands-touch-no-system',
    ],
    [
      'a backend that knows another',
      'src/backends/a/a.ts',
      "export { x } from '../b/b.ts'\n",
      'backends-know-only-the-ports',
    ],
    [
      'a lazy import out of reach',
      'src/transfer/a.ts',
      "export const a = () => import('../server/x.ts')\n",
      'transfer-imports-only-its-neighbours',
    ],
  ])('refuses %s', (_, path, text, rule) => {
    const files = {
      [path]: text,
      'src/server/x.ts': 'export type X = 1\n',
      'src/backends/b/b.ts': 'export const x = 1\n',
    }
    expect(brokenRules(files)).toContain(rule)
  })
})
