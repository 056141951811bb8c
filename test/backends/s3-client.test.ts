import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { makeCertificate } from '../../src/access/certificate.ts'
import { openS3Client, type S3Client } from '../../src/backends/s3/client.ts'
import { parseIni } from '../../src/backends/s3/ini.ts'
import { readSettings } from '../../src/backends/s3/settings.ts'
import { systemClock } from '../../src/platform/system.ts'
import { KEYS, startS3Double, type S3Double, type S3Lies } from '../doubles/s3.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function double(lies: Partial<S3Lies> = {}): Promise<S3Double> {
  const server = await startS3Double(lies)
  open.push({ close: () => server.stop() })
  return server
}

async function client(
  url: string,
  bucket = 'bucket',
  env: Record<string, string> = {},
  way: { readonly ca?: string; readonly proxyFor?: () => string } = {},
): Promise<S3Client> {
  const settings = readSettings(bucket, new Map([['endpoint', url]]), { HOME: '/nowhere', ...KEYS, ...env })
  // Timers of the connection are real; pauses between two tries are not waited for.
  const clock = {
    ...systemClock,
    sleep: async (ms: number, signal?: AbortSignal) => (signal ? systemClock.sleep(ms, signal) : undefined),
  }
  const one = await openS3Client({ settings, clock, chance: () => 0, waits: { silence: 300 }, ...way })
  open.push(one)
  return one
}

const bytes = (text: string): Uint8Array => Buffer.from(text)

describe('a client of S3', () => {
  it('writes, reads, looks, lists and removes, whatever characters a key has', async () => {
    const s3 = await client((await double()).url)
    const keys = ['a/b', 'a/ +%\'()*!~&=?<>"', 'a/é', 'a/日本', 'z@1_2']
    for (const key of keys) expect(await s3.put(key, bytes(key))).toMatchObject({ made: true })
    for (const key of keys) expect((await s3.get(key))?.bytes.toString()).toBe(key)
    expect((await s3.get('a/b', { range: [1, 2] }))?.bytes.toString()).toBe('/b')
    expect(await s3.head('a/b')).toMatchObject({ size: 3 })
    expect(await s3.get('nothing')).toBeNull()
    expect(await s3.head('nothing')).toBeNull()
    expect((await s3.page({ prefix: 'a/' })).objects.map(({ key }) => key)).toEqual([
      'a/ +%\'()*!~&=?<>"',
      'a/b',
      'a/é',
      'a/日本',
    ])
    await s3.removeAll([...keys, 'nothing'])
    expect((await s3.page({ prefix: '' })).objects).toEqual([])
  })

  it('goes through all pages of a listing, from behind a name', async () => {
    const s3 = await client((await double({ pageSize: 3 })).url)
    for (let n = 10; n < 21; n++) await s3.put(`k/${n}`, bytes('x'))
    const found: string[] = []
    for await (const batch of s3.list({ prefix: 'k/', startAfter: 'k/11' })) found.push(...batch.map(({ key }) => key))
    expect(found).toEqual([12, 13, 14, 15, 16, 17, 18, 19, 20].map((n) => `k/${n}`))
  })

  it('creates a name once', async () => {
    const s3 = await client((await double()).url)
    expect(await s3.put('k', bytes('first'), { ifAbsent: true })).toMatchObject({ made: true, doubtful: false })
    expect(await s3.put('k', bytes('second'), { ifAbsent: true })).toMatchObject({ made: false, doubtful: false })
    expect((await s3.get('k'))?.bytes.toString()).toBe('first')
  })

  it('says that a name may have been taken by its own try whose answer was lost', async () => {
    const s3 = await client((await double({ lostAnswers: 1 })).url)
    expect(await s3.put('k', bytes('mine'), { ifAbsent: true })).toMatchObject({ made: false, doubtful: true })
  })

  it.each<[string, Partial<S3Lies>]>([
    ['is busy', { busy: 3 }],
    ['is in conflict with another request', { conflicts: 3 }],
    ['does not answer', { silent: 1 }],
    ['cuts an answer', { cutAnswers: 2 }],
    ['is slow', { slowBy: 100 }],
    ['has another time', { clockAhead: 3_600_000 }],
    ['has an earlier time', { clockAhead: -3_600_000 }],
  ])('asks again, or waits, when the service %s', async (_what, lies) => {
    const s3 = await client((await double(lies)).url)
    await s3.put('k', bytes('some bytes'))
    expect((await s3.get('k'))?.bytes.toString()).toBe('some bytes')
  })

  it('knows how far the clocks are apart', async () => {
    const s3 = await client((await double({ clockAhead: 3_600_000 })).url)
    await s3.head('k')
    expect(Math.abs((s3.ahead() ?? 0) - 3_600_000)).toBeLessThan(5000)
  })

  it('takes an answer to HEAD for whole when its headers are there, whatever comes behind', async () => {
    const s3 = await client((await double({ headsHaveEnds: true })).url)
    await s3.put('k', bytes('some bytes'))
    for (const key of ['nothing', 'k', 'nothing']) expect((await s3.head(key)) !== null, key).toBe(key === 'k')
    expect((await s3.get('k'))?.bytes.toString()).toBe('some bytes')
  })

  it('removes one by one where many at once are not known', async () => {
    const server = await double({ noMultiDelete: true })
    const s3 = await client(server.url)
    for (const key of ['a', 'b', 'c']) await s3.put(key, bytes(key))
    await s3.removeAll(['a', 'c', 'd'])
    expect([...(server.buckets.get('bucket')?.keys() ?? [])]).toEqual(['b'])
  })

  it.each<[string, Partial<S3Lies>, string]>([
    ['is busy for long', { busy: 100 }, 'Unavailable'],
    ['never answers', { silent: 100 }, 'Unavailable'],
    ['has no conditional writes', { noConditions: true }, 'NotSupported'],
  ])('gives up when the service %s', async (_what, lies, code) => {
    const s3 = await client((await double(lies)).url)
    await expect(s3.put('k', bytes('x'), { ifAbsent: true })).rejects.toMatchObject({ code })
  })

  it('names the bucket that is not there, and never takes that for a missing object', async () => {
    const s3 = await client((await double()).url, 'elsewhere')
    const error = { code: 'NotFound', message: expect.stringContaining('no S3 bucket elsewhere') as string }
    await expect(s3.get('k')).rejects.toMatchObject(error)
    await expect(s3.put('k', bytes('x'))).rejects.toMatchObject(error)
    await expect(s3.page({ prefix: '' })).rejects.toMatchObject(error)
  })

  it('says which credentials are not taken, and never shows them', async () => {
    const { url } = await double()
    const unknown = await client(url, 'bucket', { AWS_ACCESS_KEY_ID: 'AKIDOTHER' })
    await expect(unknown.get('k')).rejects.toMatchObject({ code: 'Unauthenticated' })
    const wrong = await client(url, 'bucket', { AWS_SECRET_ACCESS_KEY: 'not-the-secret' })
    const error: unknown = await wrong.get('k').catch((error: unknown) => error)
    expect(error).toMatchObject({
      code: 'Unauthenticated',
      message: expect.stringContaining('SignatureDoesNotMatch') as string,
    })
    expect(JSON.stringify(error)).not.toContain('not-the-secret')
  })

  it('trusts an authority that is named, and says so of one that is not', async () => {
    const tls = makeCertificate(['localhost'])
    const server = await startS3Double({}, tls)
    open.push({ close: () => server.stop() })
    const url = server.url.replace('127.0.0.1', 'localhost')
    const s3 = await client(url, 'bucket', {}, { ca: tls.cert })
    expect(await s3.put('k', bytes('x'))).toMatchObject({ made: true })
    const stranger = await client(url)
    await expect(stranger.get('k')).rejects.toMatchObject({
      code: 'Refused',
      message: expect.stringContaining('not trusted') as string,
    })
    const plain = await client((await double()).url.replace('http:', 'https:'))
    await expect(plain.get('k')).rejects.toMatchObject({
      message: expect.stringContaining('does not speak TLS') as string,
    })
  })

  it('goes by a proxy, to a bucket that is a part of the host as well', async () => {
    const server = await double()
    const asked: string[] = []
    const proxy = createServer((incoming, outgoing) => {
      asked.push(incoming.url ?? '')
      const { method = 'GET', headers, url = '' } = incoming
      const { pathname, search } = new URL(url)
      const onward = request(server.url + pathname + search, { method, headers }, (answer) =>
        answer.pipe(outgoing.writeHead(answer.statusCode ?? 500, answer.headers)),
      )
      incoming.pipe(onward)
    })
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    open.push({ close: () => (proxy.closeAllConnections(), proxy.close()) })
    const way = { proxyFor: () => `http://127.0.0.1:${(proxy.address() as AddressInfo).port}` }
    const byPath = await client(server.url, 'bucket', {}, way)
    await byPath.put('a/k', bytes('by the proxy'))
    const settings = { ...byPath.settings, endpoint: 'http://s3.test', style: 'virtual' } as const
    const byHost = await openS3Client({ settings, clock: systemClock, chance: () => 0, ...way })
    open.push(byHost)
    expect((await byHost.get('a/k'))?.bytes.toString()).toBe('by the proxy')
    expect((await byHost.page({ prefix: 'a/' })).objects).toHaveLength(1)
    expect(asked.slice(0, 2)).toEqual([`${server.url}/bucket/a/k`, 'http://bucket.s3.test/a/k'])
    expect(asked[2]).toMatch(/^http:\/\/bucket\.s3\.test\/\?list-type=2&/)
  })

  it.each([
    [{ status: 403, code: 'AccessDenied' }, 'Forbidden', /need to list, get, put and delete/],
    [{ status: 403, code: 'QuotaExceeded' }, 'QuotaExceeded', /make room/],
    [{ status: 403, code: 'ExpiredToken' }, 'Unauthenticated', /get new ones/],
    [{ status: 301, code: 'PermanentRedirect', region: 'eu-west-3' }, 'InvalidRequest', /\?region=eu-west-3/],
    [
      { status: 400, code: 'AuthorizationHeaderMalformed', region: 'eu-west-3' },
      'InvalidRequest',
      /\?region=eu-west-3/,
    ],
    [{ status: 405, code: 'MethodNotAllowed' }, 'NotSupported', /$/],
    [{ status: 413, code: 'EntityTooLarge' }, 'TooLarge', /$/],
    [{ status: 400, code: 'InvalidArgument' }, 'InvalidRequest', /$/],
    [{ status: 404, code: 'NoSuchBucket' }, 'NotFound', /aws s3 mb s3:\/\/bucket/],
  ])('tells %j as %s, with what to do', async (refuses, code, hint) => {
    const s3 = await client((await double({ refuses })).url)
    const error: unknown = await s3.put('k', bytes('x')).catch((error: unknown) => error)
    expect(error).toMatchObject({ code })
    expect((error as { hint?: string }).hint ?? '').toMatch(hint)
  })

  it('ends what is under way when it is closed, and tries nothing again', async () => {
    const server = await double({ silent: 100 })
    const s3 = await client(server.url)
    const reading = s3.get('k').catch((error: unknown) => error)
    while (server.requests.length === 0) await systemClock.sleep(5)
    s3.close()
    expect(await reading).toMatchObject({ code: 'Unavailable' })
    expect(server.requests).toHaveLength(1)
  })

  it('says that nothing listens there', async () => {
    const server = await double()
    await server.stop()
    const s3 = await client(server.url)
    await expect(s3.get('k')).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining(server.url) as string,
    })
  })
})

describe('the settings of S3', () => {
  const home = mkdtempSync(join(tmpdir(), 'blobs-aws-'))
  afterAll(() => rmSync(home, { recursive: true }))
  mkdirSync(join(home, '.aws'))
  writeFileSync(
    join(home, '.aws', 'config'),
    `[default]
region = eu-north-1
[profile work]   ; the one at work
region=eu-west-3
services = minio
s3 =
  addressing_style = path
[profile single]
sso_session = corp
[services minio]
s3 =
  endpoint_url = http://minio.example:9000/
`,
  )
  writeFileSync(
    join(home, '.aws', 'credentials'),
    `[default]\naws_access_key_id = ID\naws_secret_access_key = a+b/c#d=\n\n# a comment\n[work]\naws_access_key_id=WID\naws_secret_access_key=WS\naws_session_token=WT\n`,
  )
  const read = (options: Record<string, string> = {}, env: Record<string, string> = {}) =>
    readSettings('data', new Map(Object.entries(options)), { HOME: home, ...env })

  it('are those of the files, the environment and the URL, the last goes first', () => {
    expect(read()).toMatchObject({
      endpoint: 'https://s3.eu-north-1.amazonaws.com',
      region: 'eu-north-1',
      style: 'virtual',
    })
    expect(read().credentials()).toMatchObject({ accessKeyId: 'ID', secretAccessKey: 'a+b/c#d=' })
    const work = read({}, { AWS_PROFILE: 'work' })
    expect(work).toMatchObject({ endpoint: 'http://minio.example:9000', region: 'eu-west-3', style: 'path' })
    expect(work.credentials()).toMatchObject({ accessKeyId: 'WID', sessionToken: 'WT' })
    expect(
      read(
        {},
        { AWS_PROFILE: 'work', AWS_REGION: 'x-1', AWS_ENDPOINT_URL: 'https://a', AWS_ENDPOINT_URL_S3: 'https://b/' },
      ),
    ).toMatchObject({ endpoint: 'https://b', region: 'x-1', style: 'path' })
    expect(
      read(
        { endpoint: 'http://c:1', region: 'y-2', style: 'virtual' },
        { AWS_REGION: 'x-1', AWS_ENDPOINT_URL: 'https://a' },
      ),
    ).toMatchObject({ endpoint: 'http://c:1', region: 'y-2', style: 'virtual' })
    const keys = { AWS_ACCESS_KEY_ID: 'EID', AWS_SECRET_ACCESS_KEY: 'ES', AWS_SESSION_TOKEN: 'ET' }
    expect(read({}, { ...keys, AWS_PROFILE: 'work' }).credentials()).toMatchObject({
      accessKeyId: 'EID',
      sessionToken: 'ET',
    })
    expect(read({ profile: 'work' }, keys).credentials()).toMatchObject({ accessKeyId: 'WID' })
  })

  it('name the ways to give credentials where there are none', () => {
    const none = {
      code: 'Unauthenticated',
      hint: expect.stringMatching(/AWS_ACCESS_KEY_ID.*credentials.*AWS_PROFILE/) as string,
    }
    expect(() => read({ profile: 'nobody' }).credentials()).toThrow(expect.objectContaining(none))
    expect(() => read({}, { HOME: '/nowhere', AWS_ACCESS_KEY_ID: 'x' }).credentials()).toThrow(/only one of/)
    expect(() => read({ profile: 'single' }).credentials()).toThrow(/sso_session/)
  })

  it.each([
    [{ endpoint: 'minio:9000' }],
    [{ endpoint: 'http://user:password@minio' }],
    [{ style: 'other' }],
    [{ region: '../x' }],
    [{ aws_secret_access_key: 'hidden' }],
  ])('refuse %j without telling a secret', (options) => {
    const error = expect.objectContaining({
      code: 'InvalidRequest',
      message: expect.not.stringMatching(/hidden|password/) as string,
    })
    expect(() => read(options)).toThrow(error)
  })

  it('are read as the tools of AWS read them', () => {
    const ini = parseIni('\uFEFFnoise\n[ a ]\r\nX = 1\n  y=2\nz =\n  q = 3\n\tr = 4 # four\nw = 5\n[a]\nv = p#q\n')
    expect([...(ini.get('a') ?? [])]).toEqual([
      ['x', '1'],
      ['y', '2'],
      ['z', ''],
      ['z.q', '3'],
      ['z.r', '4'],
      ['w', '5'],
      ['v', 'p#q'],
    ])
  })
})
