import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openRotatedFile, type RotatedFile, type RotatedOptions } from '../../src/platform/rotated-file.ts'

let directory: string
let path: string
const failures: string[] = []
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'blobs-rotated-'))
  path = join(directory, 'log')
  failures.length = 0
})
afterEach(() => rmSync(directory, { recursive: true }))

const open = (more: Partial<RotatedOptions> = {}): RotatedFile =>
  openRotatedFile({
    path,
    maxBytes: 1000,
    keep: 2,
    lost: (count) => `lost ${count}\n`,
    onFailure: ({ message }) => failures.push(message),
    ...more,
  })
const read = (name = 'log'): string => readFileSync(join(directory, name), 'utf8')

it('keeps lines in their order, and goes on behind those that were there', async () => {
  for (const part of ['a', 'b']) {
    const file = open()
    for (let index = 0; index < 10; index++) file.write(`${part}${index}\n`)
    await file.close()
  }
  expect(read()).toBe(
    [...'0123456789'].map((n) => `a${n}\n`).join('') + [...'0123456789'].map((n) => `b${n}\n`).join(''),
  )
})

it('is for its owner alone, also when somebody made it otherwise', async () => {
  writeFileSync(path, '', { mode: 0o644 })
  const file = open()
  expect(statSync(path).mode & 0o777).toBe(0o600)
  await file.close()
})

it('follows no link', () => {
  symlinkSync(join(directory, 'elsewhere'), path)
  expect(() => open()).toThrow('ELOOP')
})

it('is put aside when it is long, and the oldest go', async () => {
  const file = open()
  for (let index = 0; index < 50; index++) {
    file.write(`${String(index).padStart(99, '.')}\n`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await file.close()
  expect(readdirSync(directory).sort()).toEqual(['log', 'log.1', 'log.2'])
  for (const name of ['log', 'log.1', 'log.2']) {
    expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(1000)
    expect(statSync(join(directory, name)).mode & 0o777).toBe(0o600)
  }
  const kept = [read('log.2'), read('log.1'), read()]
    .join('')
    .trim()
    .split('\n')
    .map((line) => Number(line.replaceAll('.', '')))
  expect(kept.at(-1)).toBe(49)
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, index) => 50 - kept.length + index))
})

it('goes on in the new file when another process has put it aside', async () => {
  const [one, other] = [open(), open()]
  for (let index = 0; index < 15; index++) {
    one.write(`${'x'.repeat(99)}\n`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  other.write('from the other\n')
  await other.close()
  await one.close()
  expect(read()).toContain('from the other')
})

it('says how much is lost when the disk does not take it for a while', async () => {
  const file = open()
  file.write('first\n')
  await expect.poll(() => read()).toBe('first\n')
  rmSync(directory, { recursive: true })
  file.write('gone\n')
  file.write('gone too\n')
  await expect.poll(() => failures).toHaveLength(1)
  const { mkdirSync } = await import('node:fs')
  mkdirSync(directory)
  file.write('again\n')
  await file.close()
  expect(read()).toBe('lost 2\nagain\n')
})

const mount = 'mount -t tmpfs -o nr_inodes=2 none "$1" && : > "$1/filler" && exec "$2" --input-type=module -e "$3" "$1"'
const inMount = (directory: string, program: string): Promise<{ stdout: string }> =>
  promisify(execFile)('unshare', ['-rm', 'sh', '-c', mount, 'sh', directory, process.execPath, program])
const probe = mkdtempSync(join(tmpdir(), 'blobs-mounts-'))
const mounts = await inMount(probe, 'void 0').then(
  () => true,
  () => false,
)
rmSync(probe, { recursive: true })

// Needs a small file system of its own: unshare(1) with mount(8), which some containers refuse.
it.skipIf(!mounts)('is opened once there is room on the disk', async () => {
  const program = `
    import { readFileSync, rmSync } from 'node:fs'
    import { openRotatedFile } from ${JSON.stringify(new URL('../../src/platform/rotated-file.ts', import.meta.url).href)}
    const [directory] = process.argv.slice(1)
    const path = directory + '/log'
    const lost = (count) => 'lost ' + count + ' '
    const file = openRotatedFile({ path, maxBytes: 1000, keep: 2, lost, onFailure: ({ code }) => process.stdout.write(code + ' ') })
    file.write('gone ')
    await new Promise((resolve) => setTimeout(resolve, 50))
    rmSync(directory + '/filler')
    file.write('kept')
    await file.close()
    process.stdout.write(readFileSync(path, 'utf8'))`
  expect((await inMount(directory, program)).stdout).toBe('ENOSPC lost 1 kept')
})
