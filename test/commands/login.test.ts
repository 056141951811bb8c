import { readdirSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openMachine, type Machine, type Result, type Server } from './blobs.ts'
import { keychainLacks, type KeychainSession, openKeychainSession } from './keychain-session.ts'

/** The server is one machine, the person who signs in has another. */
let host: Machine
let server: Server
let machine: Machine

beforeAll(async () => {
  host = openMachine()
  server = await host.serve()
}, 60_000)
afterAll(() => host.dispose())
beforeEach(() => {
  machine = openMachine()
})
afterEach(() => machine.dispose())

interface Made {
  readonly id: string
  readonly token: string
}
const create = async (...args: string[]): Promise<Made> => {
  const result = await host.blobs(['token', 'create', 'team', '--data', server.data, '--json', ...args])
  return result.json() as unknown as Made
}
const logIn = (token: string, args: readonly string[] = [], env = {}): Promise<Result> =>
  machine.blobs(['login', server.url, '--token-stdin', ...args], { input: `${token}\n`, env })
const put = (env = {}): Promise<Result> =>
  machine.blobs(['put', '-', `${server.url}/team/note.txt`], { input: 'x', env })

/** What any file of the person's machine holds. */
function everything(folder: string): string {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1'))
    .join('\n')
}
const WAYS_OUT = /BLOBS_TOKEN or BLOBS_TOKEN_FILE .*--insecure-storage/

const lacks = keychainLacks()
describe.skipIf(lacks !== null)(
  `with a keychain${lacks === null ? '' : ` (skipped: ${lacks})`}`,
  { timeout: 120_000 },
  () => {
    let session: KeychainSession
    beforeEach(async () => {
      session = await openKeychainSession()
    }, 30_000)
    afterEach(() => session.dispose())

    test('a token is kept there, used by other processes for its server alone, and forgotten', async () => {
      const { id, token } = await create('--name', 'anna')
      const signed = await logIn(token, ['--json'], session.env)
      expect(signed.json()).toMatchObject({ server: server.url, keptIn: 'keychain', insecure: false, id, name: 'anna' })
      expect((await put(session.env)).code).toBe(0)
      const who = await machine.blobs(['whoami', server.url], { env: session.env })
      expect(who.stdout).toMatch(/name +anna\n.*may +read, write, delete in team\n.*token +from the keychain/s)
      expect(everything(machine.home)).not.toContain(token)

      const heard: (string | undefined)[] = []
      const other = createServer(({ headers }, response) => {
        heard.push(headers.authorization)
        response.writeHead(302, { location: `${server.url}/v1/buckets` }).end()
      }).listen(0, '127.0.0.1')
      await new Promise((resolve) => other.once('listening', resolve))
      const elsewhere = `http://127.0.0.1:${(other.address() as AddressInfo).port}`
      await machine.blobs(['ls', `${elsewhere}/team`], { env: session.env })
      expect(heard).toEqual([undefined])
      other.close()

      const out = await machine.blobs(['logout', server.url, '--revoke', '--json'], { env: session.env })
      expect(out.json()).toEqual({ server: server.url, removed: true, revoked: true })
      expect((await put(session.env)).code).toBe(4)
      const ended = await put({ BLOBS_TOKEN: token })
      expect([ended.code, ended.stderr]).toEqual([4, expect.stringContaining('revoked')])
      expect((await machine.blobs(['logout', server.url], { env: session.env })).stdout).toContain('no token was kept')
    })

    test('what is given by hand goes first', async () => {
      const [kept, given] = [await create('--name', 'kept'), await create('--name', 'given')]
      await logIn(kept.token, [], session.env)
      const who = await machine.blobs(['whoami', server.url, '--json'], {
        env: { ...session.env, BLOBS_TOKEN: given.token },
      })
      expect(who.json()).toMatchObject({ name: 'given', from: 'BLOBS_TOKEN' })
    })

    test('that is locked, an error names the ways out', async () => {
      const { token } = await create()
      expect(await logIn(token, [], session.env)).toMatchObject({ code: 0 })
      await session.lock()
      for (const result of [await logIn(token, [], session.env), await put(session.env)]) {
        expect([result.code, result.stderr]).toEqual([4, expect.stringMatching(/keychain .*locked/)])
        expect(result.stderr).toMatch(WAYS_OUT)
      }
    })

    test('that never answers, an error names the ways out in time', async () => {
      const { token } = await create()
      expect(await logIn(token, [], session.env)).toMatchObject({ code: 0 })
      session.stop()
      for (const act of [() => logIn(token, [], session.env), () => put(session.env)]) {
        const started = performance.now()
        const result = await act()
        expect([result.code, result.stderr]).toEqual([4, expect.stringContaining('it does not answer (waited 4 s)')])
        expect(result.stderr).toMatch(WAYS_OUT)
        // Beyond the 4 s it is the start of a process, which a busy machine delays.
        expect(performance.now() - started).toBeLessThan(10_000)
      }
      const away = await machine.blobs(['put', '-', 'here/note'], { input: 'x', env: session.env })
      expect(away.stderr).not.toContain('keychain')
      session.resume()
      expect((await put(session.env)).code).toBe(0)
    })
  },
)

describe('without a keychain', { timeout: 120_000 }, () => {
  test('a token is not kept, unless it is wished unencrypted; that is remembered, and said', async () => {
    const { token } = await create('--name', 'anna')
    const refused = await logIn(token)
    expect([refused.code, refused.stderr]).toEqual([
      4,
      expect.stringContaining('the keychain of this machine cannot be used'),
    ])
    expect(refused.stderr).toMatch(WAYS_OUT)
    expect(everything(machine.home)).not.toContain(token)

    const signed = await logIn(token, ['--insecure-storage'])
    expect([signed.code, signed.stdout]).toEqual([0, expect.stringContaining('the token is unencrypted in a file')])
    const folder = join(machine.home, 'state', 'blobs', 'servers')
    for (const file of readdirSync(folder)) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600)
    expect((await put()).code).toBe(0)
    const again = await logIn((await create('--name', 'berta')).token, ['--json'])
    expect(again.json()).toMatchObject({ keptIn: 'file', insecure: true, name: 'berta' })
    const who = await machine.blobs(['whoami', server.url])
    expect(who.stdout).toMatch(/name +berta\n.*token +unencrypted in a file of yours \(--insecure-storage\)/s)

    expect((await machine.blobs(['logout', server.url])).code).toBe(0)
    expect(everything(machine.home)).not.toContain(token)
    expect((await put()).code).toBe(4)
    expect((await logIn(token)).code).toBe(4)
  })

  test('the token is asked for at a terminal, which does not show it', async () => {
    const { token } = await create('--name', 'anna')
    const line = `blobs login ${server.url} --insecure-storage`
    const typed = `${token.slice(0, 5)}x\u007F${token.slice(5)}\r`
    const result = await machine.shell(`(sleep 2; printf '%s' "$TYPED"; sleep 2) | script -qec '${line}' /dev/null`, {
      env: { TYPED: typed },
    })
    expect(result.stdout).toContain(`token for ${server.url}: `)
    expect(result.stdout).toContain('signed in as anna')
    expect(result.stdout).not.toContain(token.slice(10, 30))
  })
})

describe('wrong use', { timeout: 60_000 }, () => {
  const cases: readonly (readonly [string, readonly string[], string, number, string])[] = [
    [
      'a token in the command line',
      ['login', 'eyJhbGciOiJIUzI1NiJ9.eyJidWNrZXQiOiJ0In0.c2ln'],
      '',
      2,
      'does not belong into a command line',
    ],
    ['no server', ['login', '--token-stdin'], 'x', 2, 'which server is meant?'],
    ['no server to forget', ['logout'], '', 2, 'which server is meant?'],
    [
      'a bucket for a server',
      ['login', 'http://127.0.0.1:1/team', '--token-stdin'],
      'x',
      2,
      'is not the URL of a server',
    ],
    ['a name for a server', ['whoami', 'team'], '', 2, 'is not the URL of a server'],
    ['no terminal', ['login', '@'], '', 2, 'no terminal to ask'],
    ['nothing on stdin', ['login', '@', '--token-stdin'], '', 4, 'stdin holds no token'],
    ['what is no token', ['login', '@', '--token-stdin'], 'two words', 4, 'is not a token'],
    ['a token of another server', ['login', '@', '--token-stdin'], 'eyJub3RvbmU', 4, 'the token is not one'],
    ['a server that is not there', ['login', 'http://127.0.0.1:1', '--token-stdin'], 'x', 8, '127.0.0.1:1'],
    ['a file that is not there', ['login', '@', '--token-file', 'none'], '', 6, 'none'],
    ['nobody', ['whoami', '@'], '', 4, 'you are not signed in'],
  ]
  test.each(cases)('%s', async (_name, args, input, code, message) => {
    const result = await machine.blobs(
      args.map((arg) => (arg === '@' ? server.url : arg)),
      { input },
    )
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(message)])
    expect(result.stderr).not.toContain('eyJ')
  })

  test('the embedded store needs nobody', async () => {
    const result = await machine.blobs(['whoami', '--json'])
    expect([result.code, result.json()]).toEqual([0, { server: null, data: machine.data }])
  })
})
