import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openS3Client, type S3Client } from '../../src/backends/s3/client.ts'
import { openMps3 } from '../../src/backends/s3/mps3/foreign.ts'
import { readSettings } from '../../src/backends/s3/settings.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import type { Clock } from '../../src/platform/ports.ts'
import type { ForeignBucket, ForeignChange, ForeignItem, ForeignPromises } from '../../src/store/mirror/foreign.ts'
import { openMps3Client, type Mps3Client, type Mps3Options } from '../doubles/mps3-client.ts'
import { once } from '../store/acts.ts'
import { startService } from './driver/service.ts'
import { lacksGateway, startGateway, type Gateway } from './radosgw.ts'

const PROMISES = {
  name: 'test',
  durability: 'service',
  live: 'polled',
  fresh: 0,
  poll: 100,
  parallel: 4,
  cannot: {},
} as const
const NAME = 'manifest.json'
const lacks = lacksGateway()

describe.skipIf(lacks !== null)(`apps on MPS3 (${lacks ?? 'against the RADOS Gateway'})`, () => {
  let gateway: Gateway
  const service = startService(async () => {
    gateway = await startGateway()
    return { place: async () => gateway.url, stop: () => gateway.stop() }
  })
  let bucket: string
  let client: S3Client
  let ours: ForeignBucket
  const clients: S3Client[] = []
  const openClient = async (theClock: Clock = clock): Promise<S3Client> => {
    const settings = readSettings(bucket, new Map([['endpoint', service() && gateway.url]]), gateway.env)
    const opened = await openS3Client({ settings, clock: theClock, chance: Math.random })
    clients.push(opened)
    return opened
  }
  const openOurs = async (theClock: Clock = clock): Promise<ForeignBucket> =>
    openMps3({
      client: await openClient(theClock),
      promises: PROMISES satisfies ForeignPromises,
      clock: theClock,
      versioned: false,
    }).open({
      name: NAME,
      id: NAME,
    })
  const app = (options: Partial<Mps3Options> = {}): Mps3Client =>
    openMps3Client({
      endpoint: gateway.url,
      bucket,
      accessKeyId: gateway.env['AWS_ACCESS_KEY_ID'] ?? '',
      secretAccessKey: gateway.env['AWS_SECRET_ACCESS_KEY'] ?? '',
      ...options,
    })
  beforeEach(async () => {
    service()
    bucket = await gateway.makeBucket()
    client = await openClient()
    ours = await openOurs()
  })
  afterEach(() => {
    for (const one of clients.splice(0)) one.close()
  })

  it('see what blobs writes, and blobs sees what they write: values, batches, deletions', async () => {
    const theirs = app()
    await theirs.putAll(
      new Map([
        ['docs/a', { n: 1 }],
        ['b', [1, 2]],
      ]),
    )
    expect(await valuesOf(ours)).toEqual({ 'docs/a': { n: 1 }, b: [1, 2] })
    await write(ours, { c: '"by blobs"', b: null, 'docs/a': '{"n":2}' })
    expect(await theirs.get('c')).toBe('by blobs')
    expect(await theirs.get('docs/a')).toEqual({ n: 2 })
    expect((await theirs.keys()).toSorted()).toEqual(['c', 'docs/a'])
    await theirs.put('c', undefined)
    expect(await valuesOf(ours)).toEqual({ 'docs/a': { n: 2 } })
  })

  it('take turns with blobs without a write being lost', async () => {
    const theirs = app()
    for (let n = 0; n < 15; n++) {
      await theirs.put('n', n * 2)
      expect(await valuesOf(ours)).toEqual({ n: n * 2 })
      await write(ours, { n: String(n * 2 + 1) })
      expect(await theirs.get('n')).toBe(n * 2 + 1)
    }
  }, 60_000)

  it('are told by another manifest apart, and what stands in other S3 buckets is not shown', async () => {
    await app({ manifest: 'other.json' }).put('x', 1)
    await app().put('y', 2)
    expect(await valuesOf(ours)).toEqual({ y: 2 })
    const place = openMps3({ client, promises: PROMISES, clock, versioned: false })
    expect((await place.buckets()).map(({ name }) => name)).toEqual(['manifest.json', 'other.json'])
    expect(await place.create('other.json')).toBe(false)
    expect(await place.create('third')).toBe(true)
    expect(await place.create('third')).toBe(false)
    expect(await place.remove('other.json')).toBe(true)
    expect((await place.buckets()).map(({ name }) => name)).toEqual(['manifest.json', 'third'])
    expect(await valuesOf(ours)).toEqual({ y: 2 })
  })

  it('see what is no JSON as an object with its base64, and blobs gets the very bytes back', async () => {
    const odd = { a: 'no json', b: '', c: '{"blobs:base64":"aGk="}', d: ' {"blobs:base64":"*"}' }
    await write(ours, odd)
    expect(await app().get('a')).toEqual({ 'blobs:base64': Buffer.from('no json').toString('base64') })
    expect(await app().get('d')).toEqual({ 'blobs:base64': '*' })
    expect(await textsOf(ours)).toEqual(odd)
    await write(ours, { e: '"\xff"' }, 'latin1')
    expect(await app().get('e')).toEqual({ 'blobs:base64': 'Iv8i' })
    expect(() => ours.check('a', 1e9)).toThrow(expect.objectContaining({ code: 'TooLarge' }))
  })

  it('are not overwritten by who has not seen them: a last look tells', async () => {
    await app().put('a', 1)
    await expect(write(ours, { a: '2' }, 'utf8', { a: null })).rejects.toMatchObject({ code: 'VersionConflict' })
    expect(await app().get('a')).toBe(1)
  })

  it.each([3 * 3600_000, -3 * 3600_000, 6000, -6000])(
    'see what a machine writes whose clock is wrong by %i ms, at once',
    async (wrong) => {
      const skewed = await openOurs({ ...clock, now: () => clock.now() + wrong })
      await write(skewed, { a: '1' })
      expect(await app().get('a')).toBe(1)
      await app().put('b', 2)
      expect(await valuesOf(skewed)).toEqual({ a: 1, b: 2 })
      await write(skewed, { c: '3' })
      expect(await valuesOf(ours)).toEqual({ a: 1, b: 2, c: 3 })
    },
  )

  describe('where two write one name without knowing of each other', () => {
    /** A machine whose entry is written only after `between`: it has looked before, and its time is the earlier. */
    const heldUp = async (between: () => Promise<unknown>): Promise<ForeignBucket> => {
      const plain = await openClient()
      let held = false
      const slow: S3Client = {
        ...plain,
        put: async (key, bytes, options) => {
          if (!held && key.startsWith(`${NAME}@`)) {
            held = true
            await between()
          }
          return plain.put(key, bytes, options)
        },
      }
      return openMps3({ client: slow, promises: PROMISES, clock, versioned: false }).open({ name: NAME, id: NAME })
    }
    const sibling = /^notes\/a\.conflict-\d{8}T\d{6}Z-mps3-[0-9a-f]{8}\.json$/
    const key = 'notes/a.json'

    it.each([
      ['another machine', async () => write(await openOurs(), { [key]: '"yours"' })],
      ['an app', () => app().put(key, 'yours')],
    ])('the later one, %s, keeps the name, and the other value stands beside it, for all', async (_, overtake) => {
      await write(ours, { [key]: '"first"' })
      await write(await heldUp(overtake), { [key]: '"mine"' })
      const values = await valuesOf(ours)
      expect(values[key]).toBe('yours')
      const other = Object.keys(values).find((name) => name !== key) ?? ''
      expect(other).toMatch(sibling)
      expect(values[other]).toBe('mine')
      expect(await app().get(other)).toBe('mine')
    })

    it('equal values are no conflict', async () => {
      await write(await heldUp(() => app().put(key, 'same')), { [key]: '"same"' })
      expect(await valuesOf(ours)).toEqual({ [key]: 'same' })
    })

    it('an edit stands where the other deleted without having seen it', async () => {
      await write(ours, { [key]: '"first"' })
      await write(await heldUp(() => app().put(key, undefined)), { [key]: '"mine"' })
      expect(await valuesOf(ours)).toEqual({ [key]: 'mine' })
    })

    it('an app that comes after the last look is noticed by the next', async () => {
      await write(ours, { [key]: '"first"' })
      const theirs = app()
      const late = openMps3Client({
        endpoint: gateway.url,
        bucket,
        accessKeyId: gateway.env['AWS_ACCESS_KEY_ID'] ?? '',
        secretAccessKey: gateway.env['AWS_SECRET_ACCESS_KEY'] ?? '',
        beforeEntry: () => write(ours, { [key]: '"mine"' }),
      })
      await late.put(key, 'theirs')
      const values = await valuesOf(ours)
      expect(new Set(Object.values(values))).toEqual(new Set(['mine', 'theirs']))
      expect(await theirs.get(key)).toBe(values[key])
    })
  })

  it('an old MPS3 whose entries have another format is left alone', async () => {
    await client.put(`${NAME}@01795258791746_ab`, Buffer.from('{"previous":".","files":{},"update":{"files":{}}}'))
    await expect(valuesOf(ours)).rejects.toMatchObject({ code: 'NotSupported' })
    await expect(write(ours, { a: '1' })).rejects.toMatchObject({ code: 'NotSupported' })
    expect((await client.page({ prefix: `${NAME}@` })).objects).toHaveLength(1)
  })
})

async function itemsOf(bucket: ForeignBucket): Promise<readonly ForeignItem[]> {
  const all: ForeignItem[] = []
  for await (const batch of bucket.list()) all.push(...batch)
  return all
}

async function textsOf(bucket: ForeignBucket): Promise<Record<string, string>> {
  const texts: Record<string, string> = {}
  for (const item of await itemsOf(bucket)) {
    let text = ''
    for await (const bytes of bucket.read(item)) text += Buffer.from(bytes).toString('utf8')
    texts[item.key] = text
  }
  return texts
}

async function valuesOf(bucket: ForeignBucket): Promise<Record<string, unknown>> {
  const texts = Object.entries(await textsOf(bucket))
  return Object.fromEntries(texts.map(([key, text]) => [key, JSON.parse(text)]))
}

/** Null deletes. Unless given, it expects what stands there. */
async function write(
  bucket: ForeignBucket,
  texts: Readonly<Record<string, string | null>>,
  encoding: BufferEncoding = 'utf8',
  expected: Readonly<Record<string, string | null>> = {},
): Promise<void> {
  const standing = new Map((await itemsOf(bucket)).map(({ key, tag }) => [key, tag]))
  const changes = Object.entries(texts).map(([key, text]): ForeignChange => {
    const bytes = text === null ? null : Buffer.from(text, encoding)
    return {
      key,
      expected: key in expected ? (expected[key] ?? null) : (standing.get(key) ?? null),
      put: bytes === null ? null : { hash: sha256(bytes), size: bytes.length, open: () => once(bytes) },
    }
  })
  await bucket.write(changes)
}
