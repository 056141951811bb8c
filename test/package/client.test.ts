import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { buildTypes } from '../../scripts/build.ts'

const ROOT = join(import.meta.dirname, '../..')
const MINUTES = 60_000
const PAGE = readFileSync(join(ROOT, 'docs', 'client.md'), 'utf8')
const [, EXAMPLE = ''] = /```ts\n([\s\S]*?)```/.exec(PAGE) ?? []
const [, PRINTED = ''] = /```text\n([\s\S]*?)```/.exec(PAGE) ?? []

/** A program of somebody else, with the package as npm gives it. */
let project: string
beforeAll(async () => {
  await buildTypes()
  project = mkdtempSync(join(tmpdir(), 'blobs-client-'))
  const npm = (args: string[], cwd: string): string =>
    execFileSync('npm', [...args, '--no-fund', '--no-audit', '--loglevel=error'], {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PATH: `${join(process.execPath, '..')}:${process.env['PATH'] ?? ''}` },
    })
  const packed = npm(['pack', '--ignore-scripts', '--json', '--pack-destination', project], ROOT)
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }]
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'somebody', type: 'module', private: true }))
  npm(['install', '--ignore-scripts', join(project, filename)], project)
  writeFileSync(join(project, 'example.ts'), EXAMPLE)
}, 5 * MINUTES)
afterAll(() => rmSync(project, { recursive: true, force: true }))

function node(args: string[]): string {
  mkdirSync(join(project, 'home'), { recursive: true })
  return execFileSync(process.execPath, args, {
    cwd: project,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', HOME: join(project, 'home') },
  })
}

it('runs the documented example', () => {
  expect(EXAMPLE).not.toBe('')
  expect(node(['--disable-warning=ExperimentalWarning', 'example.ts'])).toBe(PRINTED)
})

it('has types that the compiler takes, strictly, and that refuse what is wrong', () => {
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2024',
    lib: ['es2024', 'esnext.disposable'],
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ['node'],
    typeRoots: [join(ROOT, 'node_modules', '@types')],
  }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['*.ts'] }))
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  expect(node([tsc])).toBe('')
  writeFileSync(join(project, 'wrong.ts'), "import { open } from 'blobs'\nawait (await open('x')).put('key', 42)\n")
  expect(() => node([tsc])).toThrow()
})
