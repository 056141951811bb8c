import { mkdtempSync, readdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { s3 } from '../../src/backends/s3/driver.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import type { Clock } from '../../src/platform/ports.ts'
import type { Backend, BackendContext, PlaceFinding } from '../../src/store/ports.ts'
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

interface Machine {
  readonly context: BackendContext
  readonly warnings: readonly string[]
  open(): Promise<Backend>
  examine(): Promise<readonly PlaceFinding[]>
}
function machine({ url }: S3Double, more: Partial<BackendContext> = {}): Machine {
  const home = mkdtempSync(join(tmpdir(), 'blobs-s3-'))
  const warnings: string[] = []
  const address = splitPlace(`s3://bucket/deep?endpoint=${encodeURIComponent(url)}`)
  const context: BackendContext = {
    clock: systemClock,
    ids: systemIds,
    env: { HOME: home, ...KEYS },
    token: async () => null,
    proxyFor: () => null,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
    singleWriter: false,
    warn: (message) => void warnings.push(message),
    ...more,
  }
  return {
    context,
    warnings,
    open: async () => {
      const backend = await s3.open(address, context)
      open.push(backend)
      return backend
    },
    examine: async () => {
      const findings: PlaceFinding[] = []
      for await (const finding of s3.examine?.(address, context) ?? []) findings.push(finding)
      return findings
    },
  }
}

const LIES: readonly (readonly [string, Partial<S3Lies>, RegExp])[] = [
  ['ignores conditions', { conditionsIgnored: true }, /ignores the condition of a write/],
  ['refuses to replace and does so all the same', { replacesAndRefuses: true }, /refuses to replace.*all the same/],
  ['lets two win a race', { looksThenWrites: true }, /of 32 that created one name at once, \d+ were told/],
  ['lists late', { listsLate: 2000 }, /a listing does not show/],
  ['lets others read late', { readsLate: 2000 }, /another connection does not read|its bytes are there/],
  ['answers 304 where 412 is due', { notModified: true }, /status 304/],
  ['has no conditional writes', { noConditions: true }, /NotImplemented/],
  ['ignores ranges', { noRanges: true }, /other bytes/],
]

describe('the test that a service is put to before it is written to', () => {
  it.each(LIES)(
    'finds out a service that %s, refuses it to several writers, and leaves nothing there',
    async (_what, lies, saw) => {
      const server = await double(lies)
      const here = machine(server)
      const backend = await here.open()
      await expect(backend.create('notes')).rejects.toMatchObject({
        code: 'Refused',
        message: expect.stringMatching(saw) as string,
        hint: expect.stringContaining('--single-writer') as string,
      })
      expect(await here.examine()).toContainEqual(
        expect.objectContaining({ severity: 'warning', message: expect.stringMatching(saw) as string }),
      )
      expect(await backend.names()).toEqual([])
      if (lies.listsLate === undefined) expect(server.buckets.get('bucket')?.size).toBe(0)
    },
  )

  it.each<[string, Partial<S3Lies>]>([
    ['answers 409 now and then', { conflicts: 3 }],
    ['is busy now and then', { busy: 3 }],
    ['loses answers', { lostAnswers: 3 }],
    ['cuts answers', { cutAnswers: 3 }],
    ['is slow', { slowBy: 30 }],
    ['has another time', { clockAhead: 3_600_000 }],
    ['removes one name at a time', { noMultiDelete: true }],
  ])('trusts a service that %s', async (_what, lies) => {
    const server = await double(lies)
    const here = machine(server)
    const backend = await here.open()
    expect(await backend.create('notes')).toBe(true)
    expect(await backend.create('notes')).toBe(false)
    expect(await backend.names()).toEqual(['notes'])
    expect([...(server.buckets.get('bucket')?.keys() ?? [])]).toEqual(['deep/buckets/notes/0000000000000001'])
  })

  it('knows a bucket as made by itself whose answer was lost', async () => {
    const server = await double()
    const backend = await machine(server).open()
    await backend.create('first')
    server.lies.lostAnswers = 1
    expect(await backend.create('second')).toBe(true)
  })

  it('is made by the first write, not by reading, and its result is kept for a month', async () => {
    const server = await double()
    let month = 0
    const clock: Clock = { ...systemClock, now: () => Date.now() + month }
    const here = machine(server, { clock })
    const probes = (): number =>
      server.requests.filter((line) => line.startsWith('PUT') && line.includes('/probe/')).length
    expect(await (await here.open()).names()).toEqual([])
    expect(await (await here.open()).open('notes')).toBeNull()
    expect(probes()).toBe(0)
    await (await here.open()).create('one')
    const first = probes()
    expect(first).toBeGreaterThan(32)
    await (await here.open()).create('two')
    expect(probes()).toBe(first)
    expect(readdirSync(here.context.stateDirectory)).toEqual(['probe.json'])
    month = 31 * 86_400_000
    server.lies.clockAhead = month
    server.lies.conditionsIgnored = true
    await expect((await here.open()).create('three')).rejects.toMatchObject({ code: 'Refused' })
  })

  it('is made again a minute after a service failed, not at each write', async () => {
    const server = await double({ conditionsIgnored: true })
    let minute = 0
    const clock: Clock = { ...systemClock, elapsed: () => performance.now() + minute }
    const backend = await machine(server, { clock }).open()
    await expect(backend.create('one')).rejects.toMatchObject({ code: 'Refused' })
    server.lies.conditionsIgnored = false
    await expect(backend.create('one')).rejects.toMatchObject({ code: 'Refused' })
    minute = 61_000
    expect(await backend.create('one')).toBe(true)
  })

  it('tells doctor what it saw, the credentials, the clocks', async () => {
    const server = await double({ clockAhead: -7_200_000 })
    const found = await machine(server).examine()
    expect(found.map(({ code }) => code)).toEqual([
      'reached',
      'credentials',
      'clock',
      'versioning',
      'probe',
      'probe',
      'probe',
      'probe',
      'probe',
    ])
    expect(found).toContainEqual(expect.objectContaining({ code: 'clock', severity: 'warning' }))
    expect(JSON.stringify(found)).not.toContain(KEYS.AWS_SECRET_ACCESS_KEY)
  })
})

describe('a single writer', () => {
  const alone = { singleWriter: true }

  it.each([
    ['ignores conditions', { conditionsIgnored: true }],
    ['has no conditional writes', { noConditions: true }],
  ])('may use a service that %s, is warned once, and gives its lease back', async (_what, lies) => {
    const server = await double(lies)
    const here = machine(server, alone)
    const backend = await here.open()
    expect(await backend.create('one')).toBe(true)
    expect(await backend.create('one')).toBe(false)
    expect((await Promise.all([backend.create('two'), backend.create('two')])).sort()).toEqual([false, true])
    expect(here.warnings).toEqual([expect.stringMatching(/does not keep several writers apart.*can overwrite/)])
    expect(server.buckets.get('bucket')?.has('deep/lease')).toBe(true)
    await backend.close()
    expect(server.buckets.get('bucket')?.has('deep/lease')).toBe(false)
  })

  it('is refused while another one writes, who is named, and let in when that lease ends', async () => {
    const server = await double({ conditionsIgnored: true })
    let later = 0
    const clock: Clock = { ...systemClock, now: () => Date.now() + later }
    await (await machine(server, alone).open()).create('one')
    const second = await machine(server, { ...alone, clock }).open()
    await expect(second.create('two')).rejects.toMatchObject({
      code: 'Refused',
      message: expect.stringMatching(/writes there now.*its lease ends in \d+ s/) as string,
    })
    later = 121_000
    server.lies.clockAhead = later
    expect(await second.create('two')).toBe(true)
  })

  it('of two who come at the same time, lets in one', async () => {
    const server = await double({ conditionsIgnored: true, slowBy: 5 })
    const [one, two] = await Promise.all([machine(server, alone).open(), machine(server, alone).open()])
    const results = await Promise.allSettled([one.create('one'), two.create('two')])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('needs no lease where the service keeps writers apart', async () => {
    const server = await double()
    const here = machine(server, alone)
    await (await here.open()).create('one')
    expect(here.warnings).toEqual([])
    expect(server.buckets.get('bucket')?.has('deep/lease')).toBe(false)
  })
})

describe('the URL of an S3 place', () => {
  it.each([
    ['s3://bucket?polls=2s', /no option "polls"/, /endpoint, region, style, profile, poll/],
    ['s3://bucket?poll=often', /poll is "often"/, /500ms/],
    ['s3://Bucket', /not the name of an S3 bucket/, /s3:/],
    ['s3://bucket?secret_key=hidden', /^(?!.*hidden)/, /environment/],
  ])('%s is refused, with what would do', async (url, message, hint) => {
    const { context } = machine({ url: '' } as S3Double)
    await expect(s3.open(splitPlace(url), context)).rejects.toMatchObject({
      code: 'InvalidRequest',
      message: expect.stringMatching(message) as string,
      hint: expect.stringMatching(hint) as string,
    })
  })

  it('needs credentials from the start', async () => {
    const { context } = machine({ url: '' } as S3Double, { env: { HOME: '/nowhere' } })
    await expect(s3.open(splitPlace('s3://bucket'), context)).rejects.toMatchObject({ code: 'Unauthenticated' })
  })
})
