import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openMachine, type Machine, type Server } from './blobs.ts'

/** A server with TLS of a private authority, one without, and proxies before them. `blobs.test` is known to the proxies alone. */
let machine: Machine
let secureMachine: Machine
let plain: Server
let secure: Server
let token: string
let secureToken: string
const proxies: ChildProcess[] = []

interface Proxy {
  readonly url: string
  readonly lines: string[]
}
async function openProxy(secret = ''): Promise<Proxy> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('proxy-process.ts', import.meta.url)), secret], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  proxies.push(child)
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  const [first] = (await once(reader, 'line')) as [string]
  reader.on('line', (line: string) => lines.push(line))
  return { url: `http://127.0.0.1:${first.replace('port ', '')}`, lines }
}

beforeAll(async () => {
  machine = openMachine()
  secureMachine = openMachine()
  const at = (name: string): string => machine.path('tls', name)
  mkdirSync(at(''), { recursive: true })
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { stdio: 'ignore', cwd: at('') })
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  openssl('req', '-x509', ...key, '-subj', '/CN=Private Authority', '-keyout', 'ca.key', '-out', 'ca.pem')
  openssl('req', ...key.slice(0, -2), '-subj', '/CN=blobs.test', '-keyout', 'key.pem', '-out', 'request.pem')
  machine.write('tls/names', 'subjectAltName=DNS:blobs.test,DNS:localhost')
  openssl(
    ...'x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem'.split(
      ' ',
    ),
  )
  machine.write('tls/none.pem', 'nothing')
  plain = await machine.serve()
  secure = await secureMachine.serve('--tls-cert', at('cert.pem'), '--tls-key', at('key.pem'))
  const make = async (data: string): Promise<string> =>
    (await machine.blobs(['token', 'create', 'team', '--data', data, '-q'])).stdout.trim()
  token = await make(plain.data)
  secureToken = await make(secure.data)
  machine.write('a.txt', 'one')
  for (const [server, secret] of [
    [plain, token],
    [secure, secureToken],
  ] as const) {
    const env = { BLOBS_TOKEN: secret, NODE_EXTRA_CA_CERTS: at('ca.pem') }
    await machine.blobs(['put', 'a.txt', `${server.url.replace('127.0.0.1', 'localhost')}/team/first`], { env })
  }
})
afterAll(async () => {
  for (const child of proxies) child.kill()
  await Promise.all([machine.dispose(), secureMachine.dispose()])
})

const named = (server: Server): string => `${new URL(server.url).protocol}//blobs.test:${new URL(server.url).port}`
const authority = (): string => machine.path('tls', 'ca.pem')

test('what a proxy alone can reach is reached by HTTP_PROXY, a live feed too', async () => {
  const proxy = await openProxy()
  const env = { BLOBS_TOKEN: token, HTTP_PROXY: proxy.url }
  const target = `${named(plain)}/team`
  expect(await machine.blobs(['put', 'a.txt', `${target}/`], { env })).toMatchObject({ code: 0 })
  expect(await machine.blobs(['cat', `${target}/a.txt`], { env })).toMatchObject({ code: 0, stdout: 'one' })
  expect(new Set(proxy.lines.map((line) => line.split(' ')[1]))).toEqual(new Set([new URL(target).host]))
  const feed = machine.shell(`timeout 3 blobs watch ${target} --since start -q | head -1`, { env })
  expect((await feed).stdout).toContain('put     team/first  v1')
})

test('a server with TLS is reached through HTTPS_PROXY, which sees no more than its name', async () => {
  const proxy = await openProxy()
  const env = { BLOBS_TOKEN: secureToken, HTTPS_PROXY: proxy.url, NODE_EXTRA_CA_CERTS: authority() }
  const target = `${named(secure)}/team`
  expect(await machine.blobs(['put', 'a.txt', `${target}/`], { env })).toMatchObject({ code: 0, stderr: '' })
  expect(await machine.blobs(['cat', `${target}/a.txt`], { env })).toMatchObject({ code: 0, stdout: 'one' })
  expect(new Set(proxy.lines)).toEqual(new Set([`CONNECT ${new URL(target).host}`]))
})

test('NO_PROXY goes past the proxy, and so does this machine itself', async () => {
  const proxy = await openProxy()
  const env = { BLOBS_TOKEN: token, HTTP_PROXY: proxy.url }
  expect(await machine.blobs(['ls', `${plain.url}/team`], { env })).toMatchObject({ code: 0 })
  const past = await machine.blobs(['ls', `${named(plain)}/team`], { env: { ...env, NO_PROXY: '.test' } })
  expect(past).toMatchObject({ code: 8, stderr: expect.stringMatching(/no such host|cannot be looked up/) })
  expect(proxy.lines).toEqual([])
})

test('a proxy that is not there, or asks who it is, is named, without its password', async () => {
  const wrong = await openProxy('ada:secret')
  const target = `${named(plain)}/team`
  const secret = wrong.url.replace('//', '//ada:secret@')
  const env = { BLOBS_TOKEN: token }
  expect(await machine.blobs(['ls', target], { env: { ...env, HTTP_PROXY: secret } })).toMatchObject({ code: 0 })
  const unknown = await machine.blobs(['ls', target], { env: { ...env, HTTP_PROXY: wrong.url } })
  expect(unknown).toMatchObject({ code: 8, stderr: expect.stringContaining('asks for a user and a password') })
  const tunnel = await machine.blobs(['ls', `${named(secure)}/team`], {
    env: { ...env, HTTPS_PROXY: wrong.url.replace('//', '//ada:mistake@') },
  })
  expect(tunnel).toMatchObject({ code: 8, stderr: expect.stringContaining('asks for a user and a password') })
  expect(tunnel.stderr).not.toContain('mistake')
  const nowhere = await machine.blobs(['ls', target], { env: { ...env, HTTP_PROXY: 'http://ada:secret@127.0.0.1:1' } })
  expect(nowhere.stderr).toContain('by the proxy http://127.0.0.1:1: nothing listens there')
  expect(nowhere.stderr).not.toContain('secret')
  const none = await machine.blobs(['ls', target], { env: { ...env, HTTP_PROXY: 'socks5://127.0.0.1:1' } })
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('HTTP_PROXY') })
})

test('a private authority is trusted when it is named, by a flag, the environment or the profile', async () => {
  const target = `https://localhost:${new URL(secure.url).port}/team`
  const env = { BLOBS_TOKEN: secureToken }
  const ls = (args: string[], more: Record<string, string> = {}): ReturnType<Machine['blobs']> =>
    machine.blobs(['ls', target, ...args], { env: { ...env, ...more } })
  expect(await ls([])).toMatchObject({ code: 12, stderr: expect.stringContaining('is not trusted') })
  expect(await ls(['--ca-cert', authority()])).toMatchObject({ code: 0, stderr: '' })
  expect(await ls([], { NODE_EXTRA_CA_CERTS: authority() })).toMatchObject({ code: 0, stderr: '' })
  await machine.blobs(['config', 'set', 'server', target.replace('/team', ''), '--profile', 'private'])
  await machine.blobs(['config', 'set', 'ca-cert', authority(), '--profile', 'private'])
  expect(await machine.blobs(['ls', 'team', '--profile', 'private'], { env })).toMatchObject({ code: 0 })
  expect(await ls(['--ca-cert', machine.path('tls', 'none.pem')])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('holds no certificate'),
  })
  expect(await ls(['--ca-cert', 'nowhere.pem'])).toMatchObject({ code: 6 })
  expect(readFileSync(authority(), 'utf8')).toContain('BEGIN CERTIFICATE')
})

/** Stands before the server and turns some requests away, as a busy one does. */
async function busyFront(
  refusals: readonly Record<string, string>[],
): Promise<{ url: string; times: number[]; close(): void }> {
  const times: number[] = []
  const left = [...refusals]
  const front = createServer((incoming, answer) => {
    const headers = left.shift()
    if (headers !== undefined) {
      times.push(performance.now())
      answer.writeHead(headers['status'] === '429' ? 429 : 503, headers).end('busy')
      return
    }
    if (times.length === refusals.length) times.push(performance.now())
    const { port } = new URL(plain.url)
    const onward = { port, method: incoming.method, path: incoming.url, headers: incoming.headers }
    incoming.pipe(
      request(onward, (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers)
        response.pipe(answer)
      }),
    )
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  const address = front.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`,
    times,
    close: () => front.close(),
  }
}

test('a busy server is asked again when it says so, and not before', async () => {
  const soon = new Date(Math.ceil(Date.now() / 1000) * 1000)
  const later = new Date(soon.getTime() + 2000)
  const front = await busyFront([
    { status: '429', 'retry-after': '1' },
    { status: '503', date: soon.toUTCString(), 'retry-after': later.toUTCString() },
    { status: '503' },
  ])
  try {
    const result = await machine.blobs(['put', 'a.txt', `${front.url}/team/busy`], { env: { BLOBS_TOKEN: token } })
    expect(result.stderr).toMatch(/429.*; trying again in 1\.0 s/)
    expect(result.stderr).toMatch(/503.*; trying again in 2\.0 s/)
    expect(result).toMatchObject({ code: 8, stdout: '' })
    const gaps = front.times.slice(1).map((time, index) => time - (front.times[index] ?? 0))
    expect(gaps[0]).toBeGreaterThan(990)
    expect(gaps[1]).toBeGreaterThan(1990)
  } finally {
    front.close()
  }
})
