import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { symlinkSync } from 'node:fs'
import { createServer, request, type Server as HttpServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMachine, type Machine, type Result, type Server } from './blobs.ts'

let machine: Machine
let server: Server
let token: string
const fronts: HttpServer[] = []
beforeAll(async () => {
  machine = openMachine()
  server = await machine.serve()
  token = await make('--name', 'ada')
  await machine.blobs(['put', machine.write('a.txt', 'a'), `${server.url}/team/`], { env: { BLOBS_TOKEN: token } })
})
afterAll(async () => {
  for (const front of fronts) front.close()
  await machine.dispose()
})

async function make(...args: string[]): Promise<string> {
  const { stdout } = await machine.blobs(['token', 'create', 'team', '--data', server.data, '-q', ...args])
  return stdout.trim()
}

/** Stands before the server and changes what it says. */
async function front(headers: () => Record<string, string>, status?: (path: string) => number | null): Promise<string> {
  const between = createServer((incoming, answer) => {
    const onward = {
      port: new URL(server.url).port,
      method: incoming.method,
      path: incoming.url,
      headers: incoming.headers,
    }
    incoming.pipe(
      request(onward, (response) => {
        const code = status?.(incoming.url ?? '') ?? response.statusCode ?? 502
        answer.writeHead(code, { ...response.headers, ...headers() })
        response.pipe(answer)
      }),
    )
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  fronts.push(between)
  const address = between.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

const at = (milliseconds: number) => (): Record<string, string> => ({
  date: new Date(Date.now() + milliseconds).toUTCString(),
})

describe('blobs doctor URL', () => {
  test.each([
    [5 * 60_000, /^warning: the clock of this machine is 5 min behind that of /],
    [-3 * 3_600_000, /^warning: the clock of this machine is 3 h ahead of that of /],
  ])('tells of a clock that is %i ms off', async (off, line) => {
    const url = await front(at(off))
    const result = await machine.blobs(['doctor', `${url}/team`], { env: { BLOBS_TOKEN: token } })
    expect(result.stdout).toMatch(line)
    expect(result.stdout).toMatch(/→ set the one that is wrong.*\n.* answers: bucket team can be used\n$/)
    expect(result.code).toBe(0)
  })

  test('tells of a token that ends soon, and of a server that takes no writes', async () => {
    const brief = await make('--expires', '36h')
    const url = await front(at(0), (path) => (path === '/ready' ? 503 : null))
    const { code, stdout } = await machine.blobs(['doctor', url, '--json'], { env: { BLOBS_TOKEN: brief } })
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      findings: [
        { code: 'not-ready', severity: 'warning' },
        { code: 'token', severity: 'warning', message: expect.stringContaining('expires in 1 day') },
      ],
    })
  })

  test.each([
    ['no server', 'http://127.0.0.1:1/team', {}, 8, /^failure: cannot reach /],
    ['no token', '@/team', {}, 4, /^failure: a token is needed → sign in/],
    ['a bucket of others', '@/other', { BLOBS_TOKEN: 'good' }, 5, /^failure: .*other.* → /],
  ])('%s ends with its own exit code', async (_, url, env, code, line) => {
    const given = 'BLOBS_TOKEN' in env ? { BLOBS_TOKEN: token } : {}
    const result = await machine.blobs(['doctor', url.replace('@', server.url)], { env: given })
    expect(result).toMatchObject({ code, stdout: expect.stringMatching(line) })
    expect(result.stdout).toMatch(/: 1 problem found\n$/)
  })
})

describe('blobs doctor FOLDER', () => {
  test('tells of every path that is not in sync, with what to do about it', async () => {
    machine.write('notes/plan.md', 'plan')
    await machine.blobs(['sync', 'notes', 'notes'])
    const good = await machine.blobs(['doctor', 'notes'])
    expect(good).toMatchObject({ code: 0, stdout: 'notes = notes: nothing is wrong (1 path in sync)\n' })
    symlinkSync('plan.md', machine.path('notes', 'link.md'))
    await machine.blobs(['sync', 'notes'])
    const { stdout } = await machine.blobs(['doctor', './notes'])
    expect(stdout).toMatch(
      /^warning: link\.md: .*symbolic link.* → Put the file itself.*\n.*: 1 warning found \(1 path in sync\)\n$/,
    )
    const json = (await machine.blobs(['doctor', 'notes', '--json'])).json()
    expect(json).toMatchObject({ ok: true, bucket: 'notes', synced: 1, findings: [{ code: 'symlink' }] })
  })

  test('goes the way to its server, too', async () => {
    machine.write('remote/plan.md', 'plan')
    await machine.blobs(['sync', 'remote', `${server.url}/team/remote`], { env: { BLOBS_TOKEN: token } })
    const signedIn = await machine.blobs(['doctor', 'remote'], { env: { BLOBS_TOKEN: token } })
    expect(signedIn).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing is wrong') })
    const signedOut = await machine.blobs(['doctor', 'remote'])
    expect(signedOut).toMatchObject({ code: 4, stdout: expect.stringMatching(/^failure: a token is needed/) })
  })

  test.each([
    ['a folder that is not synced', './plain', 6],
    ['one that is not there', './nowhere', 6],
  ])('%s is not examined', async (_, path, code) => {
    machine.write('plain/x', 'x')
    expect(await machine.blobs(['doctor', path])).toMatchObject({ code, stderr: expect.stringContaining('blobs sync') })
  })

  test.runIf(process.getuid?.() === 0)('one that its user may not write is a failure', async () => {
    const other = openMachine()
    try {
      other.write('locked/x', 'x')
      execFileSync('chown', ['-R', '65534', other.home])
      const as = (line: string): Promise<Result> => other.shell(`setpriv --reuid 65534 --clear-groups ${line}`)
      expect((await as('blobs sync locked locked')).code).toBe(0)
      execFileSync('chown', ['0', other.path('locked')])
      const { code, stdout } = await as('blobs doctor locked')
      expect([code, stdout]).toEqual([
        1,
        expect.stringMatching(/^failure: .*locked may not be read and written → let its user in/),
      ])
    } finally {
      await other.dispose()
    }
  })
})
