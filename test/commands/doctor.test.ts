import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openMachine, type Machine } from './blobs.ts'

let machine: Machine

beforeEach(() => {
  machine = openMachine()
})
afterEach(() => machine.dispose())

async function put(key: string, bytes: Uint8Array | string, data?: string): Promise<void> {
  const { code, stderr } = await machine.blobs(['put', '-', `team/${key}`, '-q'], {
    input: bytes,
    ...(data ? { env: { BLOBS_DATA: data } } : {}),
  })
  expect([code, stderr]).toEqual([0, ''])
}

async function fill(): Promise<void> {
  await machine.blobs(['bucket', 'create', 'team', '-q'])
  await put('small', 'a few bytes')
  await put('large', randomBytes(300_000))
}

function spoilPack(at: number): void {
  const path = join(machine.data, 'packs', '000001.pack')
  const bytes = readFileSync(path)
  bytes[at] = (bytes[at] ?? 0) ^ 16
  writeFileSync(path, bytes)
}

describe('blobs doctor', () => {
  test('finds nothing where there is nothing, and makes nothing', async () => {
    const { code, stdout } = await machine.blobs(['doctor'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^there is no store in .*share\/blobs yet\n$/)])
    expect(existsSync(machine.data)).toBe(false)
  })

  test('finds nothing wrong with a good store', async () => {
    await fill()
    const { code, stdout } = await machine.blobs(['doctor'])
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/: nothing is damaged \(1 bucket, 2 versions, in [\d.]+ s\)\n$/),
    ])
    const json = (await machine.blobs(['doctor', '--json', '--limit-rate', '10MB'])).json()
    expect(json).toEqual({ location: machine.data, ok: true, findings: [], buckets: 1, entries: 3, versions: 2 })
  })

  test('tells each finding with its remedy on a line of its own, and ends with 9', async () => {
    await fill()
    spoilPack(100_000)
    chmodSync(join(machine.data, 'heads', '1'), 0o644)
    const { code, stdout } = await machine.blobs(['doctor'])
    expect(code).toBe(9)
    const [permissions = '', lost = '', verdict = '', ...rest] = stdout.trimEnd().split('\n')
    expect(permissions).toMatch(/^warning: heads\/1 may be used by others than its owner \(mode 644\) → chmod 600 /)
    expect(lost).toMatch(
      /^damage: team\/large version 1 cannot be read: chunk [0-9a-f]{64} is lost → .*doctor --repair --from PLACE$/,
    )
    expect(verdict).toMatch(/: 1 damage found \(1 bucket, 2 versions/)
    expect(rest).toEqual([])
    const json = await machine.blobs(['doctor', '--json'])
    expect(json.code).toBe(9)
    expect(json.json()).toMatchObject({
      ok: false,
      findings: [
        { code: 'permissions', severity: 'warning' },
        { code: 'content', severity: 'damage', bucket: 'team', key: 'large', version: 1 },
      ],
    })
  })

  test('names the directory that was given in its remedies', async () => {
    await fill()
    truncateSync(join(machine.data, 'packs', '000001.pack'), 1000)
    const { stdout } = await machine.blobs(['doctor', '--data', machine.data], { env: { XDG_DATA_HOME: '/nowhere' } })
    expect(stdout).toContain(`→ blobs doctor --repair --data ${machine.data}\n`)
  })

  test.each([
    [['doctor', 'team'], /team.*in the embedded store/],
    [['doctor', '--from', 'x'], /--repair/],
    [['doctor', 'http://localhost:1', '--repair'], /--repair is for the embedded store/],
    [['doctor', 'http://localhost:1', '--data', 'x'], /--data is for the embedded store/],
  ])('%s is a usage error', async (args, message) => {
    const { code, stderr } = await machine.blobs(args)
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('blobs doctor URL', () => {
  test('says whether server, token and bucket are there', async () => {
    const server = await machine.serve()
    const token = (await machine.blobs(['token', 'create', 'team', '--data', server.data, '-q'])).stdout.trim()
    const env = { BLOBS_TOKEN: token }
    await machine.blobs(['put', '-', `${server.url}/team/x`, '-q'], { input: 'x', env })
    expect(await machine.blobs(['doctor', server.url], { env })).toMatchObject({
      code: 0,
      stdout: `${server.url} answers: 1 bucket can be used with this token\n`,
    })
    expect(await machine.blobs(['doctor', `${server.url}/team`], { env })).toMatchObject({
      code: 0,
      stdout: `${server.url} answers: bucket team can be used\n`,
    })
    expect(await machine.blobs(['doctor'], { env: { ...env, BLOBS_SERVER: server.url } })).toMatchObject({ code: 0 })
    const wrong = await machine.blobs(['doctor', server.url])
    expect([wrong.code, wrong.stdout]).toEqual([4, expect.stringMatching(/^failure: .* → sign in/)])
    const missing = await machine.blobs(['doctor', `${server.url}/other`, '--json'], { env })
    expect([missing.code, missing.json()]).toEqual([
      5,
      expect.objectContaining({
        ok: false,
        findings: [expect.objectContaining({ code: 'Forbidden', severity: 'failure' })],
      }),
    ])
    await server.stop()
    const gone = await machine.blobs(['doctor', server.url], { env })
    expect([gone.code, gone.stdout]).toEqual([8, expect.stringMatching(/^failure: cannot reach .* → /)])
  })
})

describe('blobs doctor --repair', () => {
  test('does nothing to a good store but close its files', async () => {
    await fill()
    const before = readFileSync(join(machine.data, 'store.db'))
    expect(await machine.blobs(['doctor', '--repair'])).toMatchObject({ code: 0 })
    chmodSync(join(machine.data, 'packs'), 0o755)
    const { code, stdout } = await machine.blobs(['doctor', '--repair'])
    expect([code, stdout]).toEqual([
      0,
      expect.stringMatching(/repaired: 1 file can now be used by the owner only\n.*nothing is damaged/),
    ])
    expect(statSync(join(machine.data, 'packs')).mode & 0o777).toBe(0o700)
    expect(readFileSync(join(machine.data, 'store.db'))).toEqual(before)
    expect(readdirSync(machine.data).filter((name) => name.startsWith('damaged-'))).toEqual([])
  })

  test('brings back what a folder still has, keeps what it replaces, and names what is lost', async () => {
    await fill()
    const large = randomBytes(200_000)
    await put('other', large)
    spoilPack(100_000)
    spoilPack(400_000)
    mkdirSync(machine.path('folder'))
    machine.write('folder/copy', large)
    const { code, stdout } = await machine.blobs(['doctor', '--repair', '--from', machine.path('folder')])
    expect(code).toBe(9)
    expect(stdout).toMatch(
      /damage: team\/large version 1 .*\ndamage: team\/other version 1 .*\nrestored: 1 chunk\nrepaired: the store is made anew; what was replaced is in damaged-\d{8}T\d{6}Z\n/,
    )
    expect(stdout).toMatch(
      /\ndamage: team\/large version 1 cannot be read.*\nwarning: damaged-.* → delete it.*\n|\nwarning: damaged-.*\ndamage: team\/large version 1 cannot be read/,
    )
    expect((await machine.blobs(['cat', 'team/other'])).bytes).toEqual(large)
    expect((await machine.blobs(['cat', 'team/small'])).stdout).toBe('a few bytes')
    expect((await machine.blobs(['cat', 'team/large'])).code).toBe(9)
  })

  test('mends with the help of a server', async () => {
    await fill()
    const bytes = (await machine.blobs(['cat', 'team/large'])).bytes
    const server = await machine.serve()
    const env = {
      BLOBS_TOKEN: (await machine.blobs(['token', 'create', 'team', '--data', server.data, '-q'])).stdout.trim(),
    }
    await machine.blobs(['put', '-', `${server.url}/team/large`, '-q'], { input: bytes, env })
    spoilPack(100_000)
    const { code, stdout } = await machine.blobs(['doctor', '--repair', '--from', `${server.url}/team`], { env })
    expect([code, stdout]).toEqual([0, expect.stringMatching(/restored: 1 chunk\n/)])
    expect((await machine.blobs(['cat', 'team/large'])).bytes.equals(bytes)).toBe(true)
  })

  test('refuses a store that a server uses', async () => {
    const server = await machine.serve()
    chmodSync(join(server.data, 'views'), 0o700)
    rmSync(join(server.data, 'heads'), { recursive: true })
    writeFileSync(join(server.data, 'packs', '000007.pack'), 'no pack')
    const { code, stderr } = await machine.blobs(['doctor', '--data', server.data, '--repair'])
    expect([code, stderr]).toEqual([12, expect.stringMatching(/in use by another process\n→ stop every blobs process/)])
  })
})

describe('a store that cannot be trusted', () => {
  test.each<[string, () => void]>([
    ['a pack is cut', () => truncateSync(join(machine.data, 'packs', '000001.pack'), 1000)],
    ['a pack is gone', () => rmSync(join(machine.data, 'packs', '000001.pack'))],
    ['store.db is gone', () => rmSync(join(machine.data, 'store.db'))],
    ['store.db is another file', () => writeFileSync(join(machine.data, 'store.db'), 'x'.repeat(20_000))],
    [
      'a log lacks what was acknowledged',
      () => {
        const db = new DatabaseSync(join(machine.data, 'store.db'))
        db.exec('DELETE FROM log WHERE position = 3')
        db.close()
      },
    ],
  ])('is not served where %s, and the reason and the remedy are told', async (_, spoil) => {
    await fill()
    spoil()
    const served = await machine.blobs(['serve', '--data', machine.data, '--port', '0'])
    expect([served.code, served.stderr]).toEqual([
      9,
      expect.stringMatching(/^corrupt: the store in .* is damaged: .*\n→ .*blobs doctor --repair/),
    ])
    const { code, stderr } = await machine.blobs(['put', '-', 'team/new'], { input: 'x' })
    expect([code, stderr]).toEqual([9, expect.stringMatching(/blobs doctor --repair/)])
    await machine.blobs(['doctor', '--repair'])
    expect(await machine.blobs(['ls'])).toMatchObject({ code: 0 })
  })

  test('is not served where a page of its database is damaged, though other commands would not meet it', async () => {
    await fill()
    await put('pages', 'pages '.repeat(8000))
    const path = join(machine.data, 'store.db')
    const bytes = readFileSync(path)
    // A page that the bytes of a row go on in begins with the number of the next one.
    const pages = Array.from({ length: bytes.length / 4096 }, (_, index) => index * 4096)
    const page = pages.find((at) => /^[pages ]+$/.test(bytes.toString('latin1', at + 4, at + 4096)))
    expect(page).toBeGreaterThan(4096)
    bytes.writeUInt32BE(0x7fff_ffff, page)
    writeFileSync(path, bytes)
    expect(await machine.blobs(['cat', 'team/small'])).toMatchObject({ stderr: '', stdout: 'a few bytes' })
    const { code, stderr } = await machine.blobs(['serve', '--data', machine.data, '--port', '0'])
    expect([code, stderr]).toEqual([9, expect.stringMatching(/does not pass a check/)])
  })
})

describe('blobs doctor URL --scrub', () => {
  test('reads every chunk of a shared place, and names the versions that lack bytes', async () => {
    const place = join(machine.home, 'place')
    mkdirSync(place)
    const url = `folder://${place}//team`
    await machine.blobs(['bucket', 'create', url, '-q'])
    for (const key of ['good', 'bad'])
      await machine.blobs(['put', '-', `${url}/${key}`, '-q'], { input: `text of ${key}` })
    const whole = await machine.blobs(['doctor', url, '--scrub', '--limit-rate', '10MB'])
    expect([whole.code, whole.stdout]).toEqual([
      0,
      expect.stringMatching(/: nothing is damaged \(1 bucket, 2 chunks, in /),
    ])
    const chunks = readdirSync(place, { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.includes('/content/'),
    )
    const spoilt = chunks.map((name) => join(place, name)).find((path) => isText(path, 'text of bad'))
    writeFileSync(spoilt ?? '', 'text of bat')
    const damaged = await machine.blobs(['doctor', `folder://${place}`, '--scrub'])
    expect([damaged.code, damaged.stdout]).toEqual([
      9,
      expect.stringMatching(/\bbad\b.*\n.*: 1 damage found \(1 bucket, /),
    ])
  })

  test('is not for a synced folder', async () => {
    const { code, stderr } = await machine.blobs(['doctor', machine.home, '--scrub'])
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/^usage: --scrub is for a place that holds buckets, .*\n→ /),
    ])
  })
})

function isText(path: string, text: string): boolean {
  return statSync(path).isFile() && readFileSync(path, 'utf8') === text
}
