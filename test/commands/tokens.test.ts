import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openMachine, type Machine, type Result, type Server } from './blobs.ts'

let machine: Machine
let server: Server
let root: string

beforeAll(async () => {
  machine = openMachine()
  server = await machine.serve()
  const args = ['token', 'create', '*', '--can', 'read,write,delete,admin', '--data', server.data, '-q']
  root = (await machine.blobs(args)).stdout.trim()
}, 60_000)
afterAll(() => machine.dispose())

const on = (...args: string[]): Promise<Result> => machine.blobs([...args, '--data', server.data, '--json'])
/** Of the running server, with the operator's token. */
const asked = (...args: string[]): Promise<Result> =>
  machine.blobs([...args, '--server', server.url, '--json'], { env: { BLOBS_TOKEN: root } })
const ls = (token: string): Promise<Result> =>
  machine.blobs(['ls', `${server.url}/team`], { env: { BLOBS_TOKEN: token } })

describe('tokens of a running server', { timeout: 120_000 }, () => {
  test('are made, listed and revoked in its data directory and through it alike', async () => {
    const here = (await on('token', 'create', 'team', '--name', 'ada', '--prefix', 'docs/')).json()
    const there = (await asked('token', 'create', 'team', '--name', 'bob', '--can', 'read')).json()
    for (const list of [await on('token', 'ls'), await asked('token', 'ls', '--bucket', 'team')]) {
      const names = (list.json()['tokens'] as { name: string }[]).map(({ name }) => name)
      expect(names).toEqual(expect.arrayContaining(['ada', 'bob']))
      for (const token of [here, there]) expect(list.stdout).not.toContain(token['token'])
    }
    const { token: _, ...record } = here
    expect((await asked('token', 'inspect', String(here['id']))).json()).toEqual({ ...record, state: 'valid' })
    await machine.blobs(['bucket', 'create', `${server.url}/team`], { env: { BLOBS_TOKEN: root } })
    expect((await ls(String(there['token']))).code).toBe(0)
    expect((await asked('token', 'revoke', String(here['id']))).json()).toEqual({ revoked: [here['id']] })
    expect((await on('token', 'revoke', String(there['id']))).code).toBe(0)
    for (const token of [here, there]) {
      const refused = await ls(String(token['token']))
      expect([refused.code, refused.stderr]).toEqual([4, expect.stringContaining('the token has been revoked')])
    }
    expect((await on('token', 'ls', '--all', '--bucket', 'team')).stdout).toContain('"state": "revoked"')
  })

  test('what is done through the server is in its audit log, and no token is', async () => {
    const made = (await asked('token', 'create', 'team', '--name', 'carl')).json()
    const file = join(server.data, 'audit.ndjson')
    await expect.poll(() => readFileSync(file, 'utf8')).toContain(`"subject":"${String(made['id'])}"`)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    for (const token of [root, String(made['token'])]) expect(readFileSync(file, 'utf8')).not.toContain(token)
  })

  test('a token is told what it is, given by hand only', async () => {
    const token = (await on('token', 'create', 'team', '--can', 'read')).json()
    const inspect = ['token', 'inspect', '--server', server.url, '--json']
    const told = await machine.blobs([...inspect, '--token-stdin'], { input: String(token['token']) })
    expect(told.json()).toMatchObject({ id: token['id'], bucket: 'team', can: ['read'], state: 'valid' })
    const local = await machine.blobs(['token', 'inspect', '--data', server.data, '--token-stdin'], {
      input: String(token['token']),
    })
    expect(local.stdout).toContain(String(token['id']))
    const wrong = await machine.blobs(['token', 'inspect', String(token['token'])])
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('does not belong into a command line')])
    expect(wrong.stderr + told.stdout + local.stdout).not.toContain(String(token['token']))
  })

  test('the secret is changed without a restart', async () => {
    const rotated = await on('token', 'rotate', '--keep', '1h')
    expect(rotated.json()).toMatchObject({ keep: 3600 })
    for (const file of ['secret', 'secret-previous']) expect(statSync(join(server.data, file)).mode & 0o777).toBe(0o600)
    expect(readdirSync(server.data).filter((name) => name.startsWith('secret'))).toEqual(['secret', 'secret-previous'])
    const fresh = (await on('token', 'create', '*', '--can', 'read,admin')).json()
    expect((await ls(root)).code).toBe(0)
    expect((await ls(String(fresh['token']))).code).toBe(0)
    const again = await on('token', 'rotate')
    expect([again.code, again.stdout]).toEqual([12, expect.stringContaining('--keep 0s')])
    const secrets = readFileSync(join(server.data, 'secret'), 'utf8').trim()
    expect(rotated.stdout + again.stdout).not.toContain(secrets)
  })

  const wrong: readonly (readonly [string, readonly string[], number, string])[] = [
    ['neither ids nor a time', ['revoke'], 2, 'give either ids or --issued-before'],
    ['ids and a time', ['revoke', 'x', '--issued-before', 'now'], 2, 'give either ids or --issued-before'],
    ['a time that is none', ['revoke', '--issued-before', 'soon'], 2, 'is not a time'],
    ['a bucket without a time', ['revoke', 'x', '--bucket', 'team'], 2, '--issued-before'],
    ['nothing to inspect', ['inspect'], 2, 'neither an ID nor a token'],
    ['an id that is not known', ['inspect', '0123', '--data', '@'], 6, 'no token 0123 is recorded'],
    ['a directory without a store', ['ls', '--data', 'nowhere'], 6, 'there is no store in'],
    ['a span that is none', ['rotate', '--keep', 'long'], 2, 'is not a time span'],
    ['the reserved bucket', ['create', '_system'], 2, 'is not a bucket name'],
    ['a server and a directory', ['ls', '--server', 'http://127.0.0.1:1', '--data', 'x'], 2, '--server'],
    ['a server that is none', ['ls', '--server', 'nonsense'], 2, 'is not a URL'],
  ]
  test.each(wrong)('wrong: %s', async (_name, args, code, message) => {
    const result = await machine.blobs(['token', ...args.map((arg) => (arg === '@' ? server.data : arg))])
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(message)])
    expect(existsSync(machine.path('nowhere'))).toBe(false)
  })

  test('a secret of the environment signs without a store, and cannot be changed', async () => {
    const env = { TOKEN_SECRET: 'given', XDG_DATA_HOME: machine.path('none') }
    const made = await machine.blobs(['token', 'create', 'team'], { env })
    expect([made.code, made.stdout, made.stderr]).toEqual([
      0,
      expect.stringMatching(/^eyJ\S+\n$/),
      expect.stringContaining('not recorded'),
    ])
    const rotate = await machine.blobs(['token', 'rotate', '--data', server.data], { env: { TOKEN_SECRET: 'given' } })
    expect([rotate.code, rotate.stderr]).toEqual([12, expect.stringContaining('TOKEN_SECRET_PREVIOUS')])
  })

  test('without the right to admin, the server refuses', async () => {
    const token = String((await on('token', 'create', 'team')).json()['token'])
    for (const args of [['ls'], ['create', 'team'], ['revoke', '--issued-before', 'now'], ['rotate']]) {
      const result = await machine.blobs(['token', ...args, '--server', server.url], { env: { BLOBS_TOKEN: token } })
      expect([args[0], result.code]).toEqual([args[0], 5])
    }
  })
})
