import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mintToken } from '../../src/access/tokens.ts'
import { keepToken } from '../../src/locations/credentials.ts'
import { openPlaces, type Places } from '../../src/locations/places.ts'
import type { PlacesOptions } from '../../src/locations/setting.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import type { BlobsError } from '../../src/store/contract/errors.ts'
import { running, SECRETS } from '../server/running.ts'

let home: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'blobs-places-'))
  mkdirSync(join(home, 'config', 'blobs'), { recursive: true })
})
afterEach(() => rmSync(home, { recursive: true, force: true }))

function open(env: Record<string, string> = {}, options: Partial<PlacesOptions> = {}): Places {
  const xdg = {
    HOME: home,
    XDG_CONFIG_HOME: join(home, 'config'),
    XDG_DATA_HOME: join(home, 'data'),
    XDG_STATE_HOME: join(home, 'state'),
  }
  return openPlaces({ env: { ...xdg, ...env }, clock: systemClock, ids: systemIds, ...options })
}
function configure(toml: string): void {
  writeFileSync(join(home, 'config', 'blobs', 'config.toml'), toml)
}
const PROFILES = `
[profiles.default]
server = "http://default:7420"
[profiles.work]
server = "https://work:7420"
token-file = "work.token"
`

describe('where a bare name is looked up', () => {
  test('in the embedded store when nothing says otherwise', () => {
    expect(open().target('team/x').location).toBe('')
  })

  test('URL, then BLOBS_SERVER, then the profile', () => {
    configure(PROFILES)
    expect(open().here).toBe('http://default:7420')
    expect(open({ BLOBS_PROFILE: 'work' }).here).toBe('https://work:7420')
    expect(open({ BLOBS_PROFILE: 'default' }, { profile: 'work' }).here).toBe('https://work:7420')
    const both = open({ BLOBS_SERVER: 'http://env:1', BLOBS_PROFILE: 'work' })
    expect(both.here).toBe('http://env:1')
    expect(both.target('http://url:2/team/x').location).toBe('http://url:2')
  })

  test('an empty variable counts as not set', () => {
    expect(open({ BLOBS_SERVER: '', BLOBS_PROFILE: '' }).here).toBe('')
  })
})

describe('profiles', () => {
  test('one that is not there is named, with those there are', () => {
    configure(PROFILES)
    expect(() => open({}, { profile: 'home' })).toThrow(/"home".*config\.toml/)
  })

  test.each([
    ['not toml at all [', /not TOML/],
    ['profiles = 3', /not a table/],
    ['[profiles.default]\nsever = "http://x"', /sever.*not known/],
    ['[profiles.default]\nserver = 7', /not a text/],
    ['[profiles.default]\nserver = "host"', /not a URL/],
    ['[profiles.default]\ntoken = "eyJ"', /secret/],
  ])('what is wrong in %j is told with the file', (toml, message) => {
    configure(toml)
    expect(() => open()).toThrow(message)
    expect(() => open()).toThrow(/config\.toml/)
  })
})

describe('one token, one server', () => {
  test('two servers in one command with one token is a usage error', () => {
    const places = open({ BLOBS_TOKEN: 'abc' })
    places.target('http://one:1/team/x')
    expect(() => places.target('http://two:2/team/x')).toThrow(/two servers/)
  })

  test('the embedded store needs no token, so it may stand beside a server', () => {
    const places = open({ BLOBS_TOKEN: 'abc' })
    places.target('http://one:1/team/x')
    expect(places.target('team/x').location).toBe('')
    expect(places.target('http://one:1/other').bucket).toBe('other')
  })

  test('a password is for one server as well, whichever way it is written', () => {
    const places = open({ BLOBS_USER: 'ann', BLOBS_PASSWORD: 'abc' })
    places.target('containers+http://one:1/team/x')
    places.target('containers+http://one:1/team/x?single-writer=yes')
    places.target('http://two:2/team/x')
    expect(() => places.target('containers+http://two:2/team/x')).toThrow(/one password.*two servers/)
  })

  test('without a token by hand there may be two', () => {
    const places = open()
    places.target('http://one:1/team/x')
    expect(places.target('http://two:2/team/x').location).toBe('http://two:2')
  })
})

describe('the token by hand', () => {
  test.each([
    ['an empty file', '', /no token/],
    ['something else', 'not a token\nat all', /is not a token/],
  ])('%s is not sent', async (_, text, message) => {
    const file = join(home, 'token')
    writeFileSync(file, text)
    await expect(open({ BLOBS_TOKEN_FILE: file }).buckets('http://127.0.0.1:1')).rejects.toThrow(message)
  })

  test('a file that cannot be read is told', async () => {
    const places = open({}, { tokenFile: join(home, 'nowhere') })
    await expect(places.buckets('http://127.0.0.1:1')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

test('a bucket of the embedded store that is not there is told with near names and the way to make it', async () => {
  await using places = open()
  await (await places.buckets('')).create('team')
  await expect(places.open(places.target('teem/x'))).rejects.toMatchObject({
    code: 'NotFound',
    hint: expect.stringMatching(/team.*blobs bucket create teem/),
  })
})

test('a store that is opened later goes on with the token that is kept by then', async () => {
  await using at = await running()
  await at.buckets.create('team')
  const options = { env: {}, stateDirectory: join(home, 'state', 'blobs'), fs: systemFileSystem(), ids: systemIds }
  const keep = (token: string): Promise<unknown> => keepToken({ origin: at.url }, token, true, options)
  const now = systemClock.now()
  await keep(await mintToken({ bucket: 'team', expires: now + 2000 }, SECRETS, { now, id: systemIds.next() }))
  await using places = open()
  const store = places.openLater({ location: at.url, bucket: 'team' })
  expect(await store.info()).toMatchObject({ name: 'team' })
  await expect.poll(() => store.info().catch(({ code }: BlobsError) => code), { timeout: 5000 }).toBe('Unauthenticated')
  await keep(await at.token({}))
  expect(await store.info()).toMatchObject({ name: 'team' })
  expect((await store.list()).items).toEqual([])
  await store.close()
})

describe('what time it is', () => {
  test("is what the clock says that stamps the versions: this one, or the server's", async () => {
    await using server = await running()
    const behind = { ...systemClock, now: () => systemClock.now() - 3_600_000 }
    await using places = open({}, { clock: behind })
    expect(Math.abs((await places.timeAt('')) - behind.now())).toBeLessThan(5000)
    expect(Math.abs((await places.timeAt(server.url)) - systemClock.now())).toBeLessThan(5000)
  })
})
