import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const MINUTES = 60_000

let place: string
let tarball: string
beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), 'blobs-package-'))
  const packed = npm(process.execPath, ['pack', '--ignore-scripts', '--json', '--pack-destination', place], ROOT)
  tarball = join(place, (JSON.parse(packed) as [{ filename: string }])[0].filename)
})
afterAll(() => rmSync(place, { recursive: true, force: true }))

/** Runs npm under a given runtime, as a machine would that has only this one. */
function npm(node: string, args: string[], cwd: string): string {
  return execFileSync('npm', [...args, '--no-fund', '--no-audit', '--loglevel=error'], {
    cwd,
    env: { ...process.env, PATH: pathWith(node) },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function pathWith(node: string): string {
  return [join(node, '..'), process.env['PATH']].join(delimiter)
}

/** The runtime of this major version, from npm's registry; without a registry the test is skipped, but never in CI. */
function runtime(test: TestContext, major: number): string {
  const prefix = join(place, `node-${major}`)
  mkdirSync(prefix, { recursive: true })
  try {
    npm(process.execPath, ['install', '--prefix', prefix, '--no-save', `node@${major}`], prefix)
  } catch (error) {
    if (process.env['CI'] === undefined) test.skip(`no registry to get Node ${major} from: ${String(error)}`)
    throw error
  }
  return join(prefix, 'node_modules', 'node', 'bin', 'node')
}

function installGlobally(node: string, name: string): string {
  const prefix = join(place, name)
  mkdirSync(prefix)
  npm(node, ['install', '--global', '--prefix', prefix, tarball], prefix)
  return join(prefix, 'bin', 'blobs')
}

function run(node: string, blobs: string, args: string[]): { code: number | null; out: string; err: string } {
  const home = join(place, 'home')
  const env = { PATH: pathWith(node), HOME: home, TMPDIR: place }
  const { status, stdout, stderr } = spawnSync(blobs, args, { cwd: place, env, encoding: 'utf8' })
  return { code: status, out: stdout, err: stderr }
}

describe('the package from npm pack, installed in an empty place', () => {
  for (const major of [24, 26]) {
    it(`puts and gets under Node ${major}`, { timeout: 5 * MINUTES }, (test) => {
      const node = runtime(test, major)
      const blobs = installGlobally(node, `installed-${major}`)
      const version = run(node, blobs, ['--version'])
      expect(version).toMatchObject({ code: 0, err: '' })
      expect(version.out).toMatch(new RegExp(`^blobs/\\d+\\.\\d+\\.\\d+ \\S+ node-v${major}\\.`))

      const bytes = `written under Node ${major}\n`
      writeFileSync(join(place, 'note.txt'), bytes)
      const bucket = `bucket-${major}`
      expect(run(node, blobs, ['bucket', 'create', bucket])).toMatchObject({ code: 0 })
      expect(run(node, blobs, ['put', 'note.txt', `${bucket}/`])).toMatchObject({ code: 0 })
      expect(run(node, blobs, ['get', `${bucket}/note.txt`, `copy-${major}.txt`])).toMatchObject({ code: 0 })
      expect(readFileSync(join(place, `copy-${major}.txt`), 'utf8')).toBe(bytes)
    })
  }

  it('says in one line under Node 20 what it needs, and exits 1', { timeout: 5 * MINUTES }, (test) => {
    const node = runtime(test, 20)
    const blobs = installGlobally(process.execPath, 'installed-for-20')
    const { code, out, err } = run(node, blobs, ['ls'])
    expect({ code, out }).toEqual({ code: 1, out: '' })
    expect(err).toMatch(/^blobs needs Node 24 or newer; this is Node 20\.\S+ at \/.+\n$/)
  })
})

describe('a checkout of the project under Node 20', () => {
  const PROGRAM = join(ROOT, 'bin', 'run.js')

  it(
    'runs under the Node among its packages and passes exit codes and signals on',
    { timeout: 5 * MINUTES },
    async (test) => {
      const node = runtime(test, 20)
      const home = join(place, 'home-20')
      mkdirSync(home)
      const env = { PATH: process.env['PATH'] ?? '', HOME: home }
      const version = spawnSync(node, [PROGRAM, '--version'], { env, encoding: 'utf8' })
      expect(version).toMatchObject({ status: 0, stderr: '' })
      expect(version.stdout).toMatch(/ node-v24\./)
      expect(spawnSync(node, [PROGRAM, 'cat', 'nothing/here'], { env }).status).toBe(6)

      const server = spawn(node, [PROGRAM, 'serve', '--port', '0', '--json', '-q'], {
        env,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(server.stdout, 'data')
      server.kill('SIGTERM')
      expect(await once(server, 'exit')).toEqual([0, null])
    },
  )
})
