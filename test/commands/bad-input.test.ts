import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMachine, type Machine, type Result, type Server } from './blobs.ts'

/** What goes wrong, with its exact exit code, told once on stderr with the name of the thing, and under --json as one document. */
let machine: Machine
let server: Server
const tokens: Record<string, string> = {}

beforeAll(async () => {
  machine = openMachine()
  server = await machine.serve()
  machine.write('file.txt', 'bytes\n')
  machine.write('folder/in.txt', 'in\n')
  const make = async (name: string, ...args: string[]): Promise<void> => {
    const { stdout } = await machine.blobs(['token', 'create', ...args, '--data', server.data, '-q'])
    tokens[name] = stdout.trim()
  }
  await Promise.all([
    make('good', 'team'),
    make('reader', 'team', '--can', 'read'),
    make('docs', 'team', '--prefix', 'docs'),
    make('other', 'other'),
    make('brief', 'team', '--expires', '1s'),
    machine.blobs(['bucket', 'create', 'team']),
  ])
  await machine.blobs(['put', 'file.txt', 'team/'])
  await machine.blobs(['put', 'file.txt', `${server.url}/team/`], { env: { BLOBS_TOKEN: tokens['good'] ?? '' } })
})
afterAll(() => machine.dispose())

type Case = readonly [what: string, args: readonly string[], code: number, error: string, named: string, token?: string]
const CASES: readonly Case[] = [
  ['an unknown bucket, read', ['cat', 'taem/file.txt'], 6, 'NotFound', 'taem'],
  ['an unknown bucket, written', ['put', 'file.txt', 'taem/'], 6, 'NotFound', 'taem'],
  ['an unknown bucket, listed', ['ls', 'taem'], 6, 'NotFound', 'taem'],
  ['an unknown bucket, removed', ['bucket', 'rm', 'taem'], 6, 'NotFound', 'taem'],
  ['a malformed key', ['put', 'file.txt', 'team/a//b'], 2, 'InvalidKey', 'team/a//b'],
  ['a key that is too long', ['cat', `team/${'k'.repeat(1025)}`], 2, 'InvalidKey', '1024'],
  ['a malformed bucket name', ['ls', 'Team!'], 2, 'InvalidRequest', 'Team!'],
  ['a missing local file', ['put', 'nowhere.txt', 'team/'], 6, 'ENOENT', 'nowhere.txt'],
  ['a folder without -r, put', ['put', 'folder', 'team/'], 2, 'InvalidRequest', 'folder'],
  ['a folder without -r, got', ['get', 'team', '.'], 2, 'InvalidRequest', 'team'],
  ['a folder without -r, removed', ['rm', 'team'], 2, 'InvalidRequest', 'team'],
  ['a missing blob', ['get', 'team/nowhere.txt'], 6, 'NotFound', 'team/nowhere.txt'],
  ['a missing version', ['cat', 'team/file.txt', '--version', '9'], 6, 'NotFound', 'version 9'],
  [
    'a stale version, put',
    ['put', 'file.txt', 'team/file.txt', '--if-version', '7'],
    7,
    'VersionConflict',
    'team/file.txt',
  ],
  ['a stale version, removed', ['rm', 'team/file.txt', '--if-version', '7'], 7, 'VersionConflict', 'team/file.txt'],
  [
    'a blob that is there already',
    ['put', 'file.txt', 'team/file.txt', '--if-absent'],
    7,
    'VersionConflict',
    'team/file.txt',
  ],
  ['a range outside the blob', ['cat', 'team/file.txt', '--range', '100-200'], 2, 'InvalidRequest', 'file.txt'],
  [
    'a destination whose folder is missing',
    ['get', 'team/file.txt', 'no/where/file.txt'],
    6,
    'ENOENT',
    'no/where/file.txt',
  ],
  ['several sources into a file', ['get', 'team/file.txt', 'team/x', 'file.txt'], 2, 'InvalidRequest', 'file.txt'],
  ['a folder without -r, copied', ['cp', 'team', 'team/copy'], 2, 'InvalidRequest', 'team'],
  ['a blob onto itself', ['mv', 'team/file.txt', 'team/'], 2, 'InvalidRequest', 'team/file.txt'],
  ['a folder into itself', ['cp', '-r', 'team', 'team/x'], 2, 'InvalidRequest', 'team'],
  ['a copy of what is not there', ['cp', 'team/nowhere', 'team/x'], 6, 'NotFound', 'team/nowhere'],
  ['a move into a bucket that is not there', ['mv', 'team/file.txt', 'taem/'], 6, 'NotFound', 'taem'],
  [
    'a copy over what is there',
    ['cp', '@/team/file.txt', 'team/', '--if-absent'],
    7,
    'VersionConflict',
    'team/file.txt',
    'good',
  ],
  ['a copy with a token that may only read', ['cp', 'team/file.txt', '@/team/'], 5, 'Forbidden', 'team', 'reader'],
  ['the size of what is not there', ['du', 'team/nowhere'], 6, 'NotFound', 'team/nowhere'],
  ['an undo of a blob', ['undo', 'team/file.txt'], 2, 'InvalidRequest', 'team/file.txt'],
  ['an undo in a bucket that is not there', ['undo', 'taem'], 6, 'NotFound', 'taem'],
  ['an undo without write access', ['undo', '@/team'], 5, 'Forbidden', 'team', 'reader'],
  ['a watch of what is not there', ['watch', 'taem'], 6, 'NotFound', 'taem'],
  ['a watch from a place that is none', ['watch', 'team', '--since', 'x', '-q'], 2, 'InvalidRequest', '"x"'],
  ['a watch without read access', ['watch', '@/team', '-q'], 5, 'Forbidden', 'team', 'other'],
  ['a script that is not there', ['run', 'nowhere.txt'], 6, 'ENOENT', 'nowhere.txt'],
  ['an unknown flag', ['ls', '--nope'], 2, 'Usage', '--nope'],
  ['a server that is not there', ['ls', 'http://127.0.0.1:1/team'], 8, 'Unavailable', 'http://127.0.0.1:1'],
  ['no token', ['ls', '@/team'], 4, 'Unauthenticated', 'token'],
  ['a token that is none', ['ls', '@/team'], 4, 'Unauthenticated', 'token', 'nonsense'],
  ['a token for another bucket', ['ls', '@/team'], 5, 'Forbidden', 'team', 'other'],
  ['a token that may only read, put', ['put', 'file.txt', '@/team/'], 5, 'Forbidden', 'team', 'reader'],
  ['a token that may only read, removed', ['rm', '@/team/file.txt'], 5, 'Forbidden', 'team', 'reader'],
  ['a token for a folder, read outside', ['cat', '@/team/file.txt'], 5, 'Forbidden', 'team/file.txt', 'docs'],
  ['a token for a folder, written outside', ['put', 'file.txt', '@/team/'], 5, 'Forbidden', 'team', 'docs'],
  ['a bucket removed without admin', ['bucket', 'rm', '@/team', '--yes'], 5, 'Forbidden', 'team', 'good'],
  [
    'a stale version on a server',
    ['put', 'file.txt', '@/team/file.txt', '--if-version', '7'],
    7,
    'VersionConflict',
    'team/file.txt',
    'good',
  ],
  ['a missing blob on a server', ['cat', '@/team/nowhere'], 6, 'NotFound', 'team/nowhere', 'good'],
  ['a token file that is not there', ['ls', '@/team', '--token-file', 'nowhere.token'], 6, 'ENOENT', 'nowhere.token'],
  ['a data directory that is a file', ['token', 'create', 'team', '--data', 'file.txt'], 1, 'ENOTDIR', 'file.txt'],
]

describe.concurrent('bad input', () => {
  test.each(CASES.map((one) => [one[0], one] as const))('%s', async (_, [, args, code, error, named, token]) => {
    const { text, json } = await both(args, token)
    expect({ code: text.code, said: text.stderr }).toMatchObject({ code, said: expect.stringContaining(named) })
    expect(text.stdout).toBe('')
    expect(text.stderr).toMatch(/^[a-z ]+: .+\n→ .+\n$/s)
    expect(json.code).toBe(code)
    expect(json.stderr).toBe('')
    const last = documentOf(json)
    expect(last['error']).toMatchObject({ code: error, exitCode: code, message: expect.stringContaining(named) })
  })
})

/** `@` stands for the server, a name for one of the tokens. */
async function both(args: readonly string[], token?: string): Promise<{ text: Result; json: Result }> {
  const real = args.map((arg) => arg.replace(/^@/, server.url))
  const env = token === undefined ? {} : { BLOBS_TOKEN: tokens[token] ?? token }
  const text = await machine.blobs(real, { env })
  const json = await machine.blobs([...real, '--json'], { env })
  return { text, json }
}
function documentOf(result: Result): Record<string, unknown> {
  return result.stdout.startsWith('{\n') ? result.json() : (result.lines().at(-1) ?? {})
}

test('a taken port is told with the flag that chooses another', async () => {
  const port = new URL(server.url).port
  const result = await machine.blobs(['serve', '--port', port, '--data', machine.path('another')])
  expect(result).toMatchObject({ code: 8, stdout: '' })
  expect(result.stderr).toMatch(new RegExp(`^unavailable: port ${port} .*\n→ .*--port`))
})

test('an expired token is told as such', async () => {
  await new Promise((resolve) => {
    setTimeout(resolve, 1100)
  })
  const result = await machine.blobs(['ls', `${server.url}/team`], { env: { BLOBS_TOKEN: tokens['brief'] ?? '' } })
  expect(result).toMatchObject({ code: 4, stderr: expect.stringContaining('expired') })
})

test('no output ever holds a token or the secret', async () => {
  const secret = readFileSync(join(server.data, 'secret'), 'utf8').trim()
  const outputs = await Promise.all(
    [
      ['ls', `${server.url}/team`],
      ['ls', `${server.url}/team`, '--json'],
      ['put', 'file.txt', `${server.url}/other/x`],
    ].map((args) => machine.blobs(args, { env: { BLOBS_TOKEN: tokens['reader'] ?? '', BLOBS_DEBUG: '1' } })),
  )
  for (const { stdout, stderr } of outputs) {
    expect(stdout + stderr).not.toContain(tokens['reader'])
    expect(stdout + stderr).not.toContain(secret)
  }
})

describe('bytes that went bad on the disk', () => {
  const LARGE = Buffer.alloc(3_000_000, 'large blob ')
  let damaged: Machine
  beforeAll(async () => {
    damaged = openMachine()
    await damaged.blobs(['bucket', 'create', 'team'])
    damaged.write('large.bin', LARGE)
    damaged.write('fine.txt', 'fine\n')
    await damaged.blobs(['put', 'large.bin', 'fine.txt', 'team/t/'])
    const packs = join(damaged.data, 'packs')
    for (const name of readdirSync(packs).filter((file) => file.endsWith('.pack'))) flip(join(packs, name))
  })
  afterAll(() => damaged.dispose())

  test('are never written to stdout', async () => {
    const result = await damaged.blobs(['cat', 'team/t/large.bin'])
    expect(result.code).toBe(9)
    expect(result.stderr).toMatch(/^corrupt: .*\n→ .*\n$/s)
    expect(LARGE.subarray(0, result.bytes.length).equals(result.bytes)).toBe(true)
  })

  test('never replace a file, and leave nothing beside it', async () => {
    damaged.write('out/large.bin', 'as it was')
    const result = await damaged.blobs(['get', 'team/t/large.bin', 'out/large.bin'])
    expect(result.code).toBe(9)
    expect(readdirSync(damaged.path('out'))).toEqual(['large.bin'])
    expect(readFileSync(damaged.path('out', 'large.bin'), 'utf8')).toBe('as it was')
  })

  test('do not stop the rest of a folder, and are named', async () => {
    const result = await damaged.blobs(['get', '-r', 'team/t', 'tree', '--json'])
    expect(result.code).toBe(3)
    expect(readdirSync(damaged.path('tree'))).toEqual(['fine.txt'])
    const failed = result.lines().find((line) => line['type'] === 'failed')
    expect(failed).toMatchObject({ name: 'tree/large.bin', error: { code: 'Corrupt', exitCode: 9 } })
    expect(result.lines().at(-1)).toMatchObject({ type: 'summary', failed: 1, exitCode: 3 })
  })
})

/** Flips a bit in the middle of every 100 KB. */
function flip(path: string): void {
  const bytes = readFileSync(path)
  const file = openSync(path, 'r+')
  for (let at = 50_000; at < bytes.length; at += 100_000) {
    writeSync(file, Buffer.from([(bytes[at] ?? 0) ^ 1]), 0, 1, at)
  }
  closeSync(file)
}

const root = process.getuid?.() === 0
describe.runIf(root)('as somebody who may not read everything', () => {
  test('what cannot be read is named, the rest is put, exit 3', async () => {
    const other = openMachine()
    try {
      other.write('mixed/open.txt', 'open')
      const locked = other.write('mixed/locked/in.txt', 'locked')
      const secret = other.write('mixed/secret.txt', 'secret')
      execFileSync('chmod', ['700', join(locked, '..')])
      execFileSync('chmod', ['600', secret])
      execFileSync('chown', ['-R', '65534', other.home])
      execFileSync('chown', ['-R', '0', join(locked, '..'), secret])
      const as = (line: string): Promise<Result> => other.shell(`setpriv --reuid 65534 --clear-groups ${line}`)
      expect((await as('blobs bucket create team')).code).toBe(0)
      const result = await as('blobs put -r mixed team/')
      expect(result.code).toBe(3)
      expect(result.stderr).toContain('mixed/locked: permission denied')
      expect(result.stderr).toContain('mixed/secret.txt: permission denied')
      expect((await as('blobs ls -r team')).stdout).toBe('mixed/open.txt\n')
      expect(await as('blobs put mixed/secret.txt team/x')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('mixed/secret.txt'),
      })
      expect(await as('blobs get team/mixed/open.txt mixed/locked/x')).toMatchObject({ code: 1 })
    } finally {
      await other.dispose()
    }
  })
})

test('a file is not taken for a folder, nor replaced by one', async () => {
  machine.write('taken', 'a file')
  const result = await machine.blobs(['get', '-r', 'team', 'taken'])
  expect(result.code).not.toBe(0)
  expect(result.stderr).toContain('taken')
  expect(statSync(machine.path('taken')).isFile()).toBe(true)
  writeFileSync(machine.path('taken'), '')
})

// Small file systems that nobody else sees: needs unshare(1) with mount(8), which some containers refuse.
const mounts = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0
describe.skipIf(!mounts)('a full disk', () => {
  let full: Machine
  const MOUNT = 'mkdir -p full && mount -t tmpfs -o size=2m none full'
  const onFull = (line: string): Promise<Result> =>
    full.shell(`exec unshare -rm sh -c "$LINE"`, { env: { LINE: `${MOUNT} && ${line}` } })
  beforeAll(async () => {
    full = openMachine()
    for (let i = 0; i < 8; i++) full.write(`tree/${i}`, Buffer.alloc(500_000, i))
    full.write('large', Buffer.alloc(3_000_000, 'large'))
    await full.blobs(['bucket', 'create', 'team'])
    await full.blobs(['put', '-r', 'tree', 'large', 'team/t/'])
  })
  afterAll(() => full.dispose())

  test.each([
    ['of one blob', 'blobs get team/t/large full/'],
    ['of a folder', 'blobs get -r team/t/tree full/'],
  ])('ends a get %s with 10, and leaves nothing half written', async (_, line) => {
    const result = await onFull(
      `${line}; code=$?; find full -type f -size -400k; find full -name "*.blobs-tmp"; exit $code`,
    )
    expect(result).toMatchObject({ code: 10, stdout: '' })
    expect(result.stderr).toMatch(/^no space: full\/.*: the disk is full\n→ /)
  })

  test('ends a put with 10, and the store works again once there is room', async () => {
    const line =
      'export XDG_DATA_HOME=$PWD/full; blobs bucket create team -q >&2; blobs put large team/; echo $?; blobs ls; mount -o remount,size=8m full; echo small | blobs put - team/x; blobs put large team/ -q; echo $?'
    const result = await onFull(line)
    expect(result.stdout).toMatch(/^10\nteam\n- → team\/x {2}v1 {2}6 B\nlarge → team\/large {2}v1 {2}3 MB\n0\n$/)
    expect(result.stderr).toContain('no space: ')
  })
})
