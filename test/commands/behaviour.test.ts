import { createHash, randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, utimesSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openMachine, type Machine } from './blobs.ts'

let machine: Machine
beforeEach(async () => {
  machine = openMachine()
  await machine.blobs(['bucket', 'create', 'team'])
})
afterEach(() => machine.dispose())

describe('JSON', () => {
  test('put, get, ls, history, restore and rm give one line an item and a summary at the end', async () => {
    machine.write('a.txt', 'a')
    machine.write('b.txt', 'bb')
    const put = (await machine.blobs(['put', 'a.txt', 'b.txt', 'team/in/', '--json'])).lines()
    expect(put.map((line) => line['type'])).toEqual(['put', 'put', 'summary'])
    expect(put[1]).toMatchObject({
      bucket: 'team',
      key: 'in/b.txt',
      version: 1,
      size: 2,
      hash: createHash('sha256').update('bb').digest('hex'),
      contentType: 'text/plain',
      deleted: false,
      meta: { mode: '644' },
      device: 'laptop',
      path: 'b.txt',
    })
    expect(put[1]).toHaveProperty('modified')
    expect(put[1]).toHaveProperty('position')
    expect(put[2]).toMatchObject({ blobs: 2, bytes: 3, failed: 0 })
    const types = async (...args: string[]): Promise<unknown[]> =>
      (await machine.blobs([...args, '--json'])).lines().map((line) => line['type'])
    expect(await types('ls')).toEqual(['bucket', 'summary'])
    expect(await types('ls', 'team')).toEqual(['folder', 'summary'])
    expect(await types('ls', '-r', 'team')).toEqual(['blob', 'blob', 'summary'])
    expect(await types('get', '-r', 'team/in', 'out')).toEqual(['get', 'get', 'summary'])
    expect(await types('history', 'team/in/a.txt')).toEqual(['version', 'summary'])
    expect(await types('rm', '-r', 'team/in')).toEqual(['delete', 'delete', 'summary'])
    expect(await types('restore', 'team/in/a.txt', '--version', '1')).toEqual(['put', 'summary'])
  })

  test('stat and the bucket commands give one document', async () => {
    machine.write('a.txt', 'a')
    await machine.blobs(['put', 'a.txt', 'team/'])
    expect((await machine.blobs(['stat', 'team/a.txt', '--json'])).json()).toMatchObject({ key: 'a.txt', version: 1 })
    expect((await machine.blobs(['stat', 'team', '--json'])).json()).toMatchObject({ name: 'team', blobs: 1 })
    expect((await machine.blobs(['bucket', 'ls', '--json'])).json()).toMatchObject({ buckets: [{ name: 'team' }] })
    const token = (await machine.blobs(['token', 'create', 'team', '--can', 'read', '--json'])).json()
    expect(token).toMatchObject({ bucket: 'team', can: ['read'], token: expect.stringMatching(/^eyJ/) })
  })

  test('cat and get to stdout keep it for the bytes', async () => {
    machine.write('a.txt', 'only these')
    await machine.blobs(['put', 'a.txt', 'team/'])
    expect((await machine.blobs(['cat', 'team/a.txt', '--json'])).stdout).toBe('only these')
    expect((await machine.blobs(['get', 'team/a.txt', '-', '--json'])).stdout).toBe('only these')
  })

  test('--quiet leaves results and errors, and nothing else', async () => {
    machine.write('tree/a.txt', 'a')
    symlinkSync('a.txt', machine.path('tree', 'link'))
    expect(await machine.blobs(['put', '-r', 'tree', 'team', '-q'])).toMatchObject({ code: 0, stderr: '' })
    expect((await machine.blobs(['cat', 'team/x', '-q'])).stderr).toContain('not found')
  })
})

describe('streams', () => {
  test('stdin of any length becomes a blob, and comes back the same', async () => {
    const bytes = randomBytes(5_000_000)
    expect((await machine.blobs(['put', '-', 'team/stream.bin'], { input: bytes })).code).toBe(0)
    expect((await machine.blobs(['cat', 'team/stream.bin'])).bytes.equals(bytes)).toBe(true)
    expect((await machine.blobs(['put', '-', 'team/empty'], { input: '' })).code).toBe(0)
    expect((await machine.blobs(['cat', 'team/empty'])).bytes).toHaveLength(0)
  })

  test('a pipe by name is put as it is read, and written to without being replaced', async () => {
    const line =
      'mkfifo in out && (printf through > in &) && blobs put in team/x && (cat out > seen &) && blobs get team/x out -q && sleep 0.2 && test -p out && cat seen'
    expect((await machine.shell(line)).stdout).toMatch(/in → team\/x {2}v1 {2}7 B\n(.*\n)?through$/)
  })

  test('a reader that goes away ends the command quietly', async () => {
    await machine.blobs(['put', '-', 'team/large'], { input: randomBytes(4_000_000) })
    const help = await machine.shell(
      '{ blobs undo --help; echo "ended with $?" >&2; } | head -1 | cat; blobs --help | true',
    )
    expect(help).toMatchObject({ code: 0, stderr: 'ended with 0\n' })
    const { stdout, stderr } = await machine.shell('blobs cat team/large | head -c 10 | wc -c; blobs ls -r team | true')
    expect({ stdout: stdout.trim(), stderr }).toEqual({ stdout: '10', stderr: '' })
  })
})

describe('an interrupted command', () => {
  test.each([
    ['INT', 130],
    ['TERM', 143],
  ])('SIG%s: leaves no temporary file, keeps the old one, and ends with %d', async (signal, code) => {
    await machine.blobs(['put', '-', 'team/large'], { input: randomBytes(2_000_000) })
    machine.write('out/large', 'as it was')
    const line = `blobs get team/large out/large --limit-rate 200KB & sleep 1; kill -${signal} $!; wait $!`
    expect((await machine.shell(line)).code).toBe(code)
    expect(readdirSync(machine.path('out'))).toEqual(['large'])
    expect(readFileSync(machine.path('out', 'large'), 'utf8')).toBe('as it was')
  })

  test('a put that is cut puts nothing', async () => {
    machine.write('large', randomBytes(2_000_000))
    const line = 'blobs put large team/large --limit-rate 200KB & sleep 1; kill -INT $!; wait $!'
    expect(await machine.shell(line)).toMatchObject({ code: 130, stderr: 'interrupted\n' })
    expect((await machine.blobs(['ls', 'team'])).stdout).toBe('')
  })

  test('serve ends with 0 on SIGINT and on SIGTERM', async () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      const server = await machine.serve()
      const result = await server.stop(signal)
      expect(result.code).toBe(0)
      expect(result.lines().map((line) => line['type'])).toEqual(['listening', 'summary'])
    }
  })
})

describe('folders', () => {
  test('a tree comes back the same: bytes, times, modes, empty folders', async () => {
    const names = ['a.txt', 'deep/er/b', 'sp ace/ü 日本.txt', 'many/x', 'quote\'".txt', '-dash', 'percent%20']
    for (const name of names) machine.write(`tree/${name}`, randomBytes(100))
    for (let i = 0; i < 300; i++) machine.write(`tree/many/${i}`, `${i}`)
    machine.write('tree/large', randomBytes(1_500_000))
    mkdirSync(machine.path('tree', 'empty', 'inner'), { recursive: true })
    utimesSync(machine.path('tree', 'a.txt'), 1e9, 1_000_000_000.25)
    expect((await machine.blobs(['put', '-r', 'tree', 'team/t'])).code).toBe(0)
    expect((await machine.blobs(['get', '-r', 'team/t', 'back'])).code).toBe(0)
    expect((await machine.shell('diff -r tree back && echo same')).stdout).toBe('same\n')
    expect(existsSync(machine.path('back', 'empty', 'inner'))).toBe(true)
    expect(statSync(machine.path('back', 'a.txt')).mtimeMs).toBe(1_000_000_000_250)
    const manifest = 'find . -type f -printf "%P %T@ %m\\n" | sort'
    const [before, after] = await Promise.all(
      ['tree', 'back'].map((name) => machine.shell(`cd ${name} && ${manifest}`)),
    )
    expect(after?.stdout).toBe(before?.stdout)
  })

  test('nothing is written through a link or out of the destination', async () => {
    machine.write('tree/sub/evil', 'x')
    machine.write('tree/fine', 'x')
    await machine.blobs(['put', '-r', 'tree', 'team/t'])
    await machine.blobs(['put', 'tree/fine', 'team/t/../../escaped'])
    mkdirSync(machine.path('elsewhere'))
    mkdirSync(machine.path('out', 't'), { recursive: true })
    symlinkSync('../../elsewhere', machine.path('out', 't', 'sub'))
    const result = await machine.blobs(['get', '-r', 'team/t', 'out/'])
    expect(result).toMatchObject({ code: 3, stderr: expect.stringContaining('out/t/sub is a symbolic link') })
    expect(result.stderr).toContain('".." in it does not name a file')
    expect(readdirSync(machine.path('out', 't')).sort()).toEqual(['fine', 'sub'])
    expect(readdirSync(machine.path('elsewhere'))).toEqual([])
    expect(existsSync(machine.path('..', 'escaped'))).toBe(false)
    expect(existsSync(machine.path('escaped'))).toBe(false)
  })

  test('a folder is restored to what it was: changed, deleted and later blobs', async () => {
    machine.write('t/changed', 'before')
    machine.write('t/deleted', 'here')
    machine.write('t/same', 'same')
    await machine.blobs(['put', '-r', 't', 'team/t'])
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
    const at = new Date().toISOString()
    machine.write('t/changed', 'after')
    machine.write('t/later', 'later')
    await machine.blobs(['put', 't/changed', 't/later', 'team/t/'])
    await machine.blobs(['rm', 'team/t/deleted'])
    const result = await machine.blobs(['restore', 'team/t', '--at', at, '--json'])
    expect(result.lines().at(-1)).toMatchObject({ restored: 2, removed: 1, unchanged: 1, failed: 0 })
    await machine.blobs(['get', '-r', 'team/t', 'back'])
    expect(readdirSync(machine.path('back')).sort()).toEqual(['changed', 'deleted', 'same'])
    expect(readFileSync(machine.path('back', 'changed'), 'utf8')).toBe('before')
    expect((await machine.blobs(['restore', 'team/t', '--at', '2001-01-01', '--json'])).code).toBe(6)
  })
})

test('a profile says where bare names are, and which token goes there', async () => {
  const server = await machine.serve()
  const { stdout } = await machine.blobs(['token', 'create', 'team', '--data', server.data, '-q'])
  machine.write('../config/blobs/team.token', stdout)
  machine.write('../config/blobs/config.toml', `[profiles.work]\nserver = "${server.url}"\ntoken-file = "team.token"\n`)
  machine.write('a.txt', 'a')
  expect((await machine.blobs(['put', 'a.txt', 'team/', '--profile', 'work'])).code).toBe(0)
  expect((await machine.blobs(['ls', `${server.url}/team`])).code).toBe(4)
  expect((await machine.blobs(['ls', 'team'], { env: { BLOBS_PROFILE: 'work' } })).stdout).toBe('a.txt\n')
  const input = await machine.blobs(['ls', `${server.url}/team`, '--token-stdin'], { input: stdout })
  expect(input).toMatchObject({ code: 0, stdout: 'a.txt\n' })
})

test('TLS: a certificate of one’s own is taken with --ca-cert, and refused without', async () => {
  const make =
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout key.pem -out cert.pem'
  expect((await machine.shell(make)).code).toBe(0)
  const server = await machine.serve('--tls-cert', machine.path('cert.pem'), '--tls-key', machine.path('key.pem'))
  expect(server.url).toMatch(/^https:/)
  const { stdout } = await machine.blobs(['token', 'create', 'team', '--data', server.data, '-q'])
  const env = { BLOBS_TOKEN: stdout.trim() }
  expect(
    (await machine.blobs(['put', '-', `${server.url}/team/x`, '--ca-cert', 'cert.pem'], { env, input: 'x' })).code,
  ).toBe(0)
  expect(await machine.blobs(['ls', `${server.url}/team`], { env })).toMatchObject({
    code: 12,
    stderr: expect.stringContaining('--ca-cert'),
  })
})

test('every command of this room explains itself: what, how, and at least two examples', async () => {
  const commands =
    'put,get,cat,ls,stat,rm,history,restore,serve,bucket create,bucket ls,bucket rm,bucket set,token create'
  await Promise.all(
    commands.split(',').map(async (command) => {
      const { stdout, code } = await machine.blobs([...command.split(' '), '--help'])
      expect(code).toBe(0)
      for (const part of ['USAGE', 'DESCRIPTION', 'EXAMPLES', '--json']) expect(stdout).toContain(part)
      expect(stdout.slice(stdout.indexOf('EXAMPLES')).match(/^ +\$ /gm)?.length ?? 0).toBeGreaterThanOrEqual(2)
    }),
  )
})
