import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openS3Client, type S3Client } from '../../src/backends/s3/client.ts'
import { probe } from '../../src/backends/s3/probe.ts'
import { readSettings } from '../../src/backends/s3/settings.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import { openMachine } from '../commands/blobs.ts'
import { lacksSwift, startSwift, type Swift } from './swift.ts'

const REASON = /does not keep several writers apart.*Conditional object PUTs are not supported(?:.|\n)*--single-writer/
const lacks = lacksSwift()
if (process.env['CI'] !== undefined && lacks !== null) throw new Error(`Swift cannot be tested: ${lacks}`)

describe.skipIf(lacks !== null)(`S3 as OpenStack's Swift speaks it (${lacks ?? 'started here'})`, () => {
  let swift: Swift
  beforeAll(async () => {
    swift = await startSwift()
  }, 120_000)
  afterAll(() => swift?.stop())

  async function clientOf(bucket: string): Promise<S3Client> {
    const settings = readSettings(bucket, new Map([['endpoint', swift.url]]), swift.env)
    return openS3Client({ settings, clock: systemClock, chance: Math.random })
  }

  it('is known by the test as a service without conditional writes, which leaves nothing there', async () => {
    const bucket = await swift.makeBucket()
    const client = await clientOf(bucket)
    try {
      const verdict = await probe({ client, another: () => clientOf(bucket), prefix: 'deep/', ids: systemIds })
      expect(verdict).toEqual({
        ok: false,
        saw: expect.stringMatching(/NotImplemented: Conditional object PUTs are not supported/) as string,
      })
      expect((await client.page({ prefix: '' })).objects).toEqual([])
    } finally {
      client.close()
    }
  })

  it('is refused to several writers with that reason, and holds what a single one puts', async () => {
    const bucket = await swift.makeBucket()
    const machine = openMachine()
    const urlOf = (rest: string): string => `s3://${bucket}/${rest}?endpoint=${swift.url}`
    const bytes = randomBytes(300_000)
    const file = machine.write('a.bin', bytes)
    const run = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
      machine.blobs(args, { env: { ...swift.env, ...more } })
    try {
      const asked = await run(['bucket', 'create', urlOf('notes')])
      expect([asked.code, asked.stderr]).toEqual([12, expect.stringMatching(REASON) as string])
      const examined = await run(['doctor', urlOf('')])
      expect(examined.stdout).toContain('warning: this bucket does not keep several writers apart')

      const alone = await run(['bucket', 'create', urlOf('notes'), '--single-writer'])
      expect(alone.code, alone.stderr).toBe(0)
      const refused = await run(['put', file, urlOf('notes/')])
      expect([refused.code, refused.stderr]).toEqual([12, expect.stringMatching(REASON) as string])
      const put = await run(['put', file, urlOf('notes/'), '--single-writer'])
      expect(put.code, put.stderr).toBe(0)
      expect(put.stderr).toContain('warning: ')
      machine.write('a.bin', 'second')
      expect((await run(['put', file, urlOf('notes/')], { BLOBS_SINGLE_WRITER: '1' })).code).toBe(0)
      expect((await run(['ls', urlOf('notes/')])).stdout).toBe('a.bin\n')
      expect((await run(['get', urlOf('notes/a.bin'), '-'])).stdout).toBe('second')
      expect((await run(['get', urlOf('notes/a.bin'), '-', '--version', '1'])).bytes.equals(bytes)).toBe(true)
    } finally {
      await machine.dispose()
    }
  }, 120_000)

  it('speaks with the client: odd names, ranges, pages, what is not there, removal of many', async () => {
    const s3 = await clientOf(await swift.makeBucket())
    try {
      const keys = ['a/ +%\'()*!~&=?<>"', 'a/b', 'a/é', 'a/日本', 'z\u0007', 'z@1_2']
      for (const key of keys) expect(await s3.put(key, Buffer.from(key))).toMatchObject({ made: true })
      const found: string[] = []
      for await (const batch of s3.list({ prefix: '', limit: 2 })) found.push(...batch.map(({ key }) => key))
      expect(found).toEqual(keys)
      expect((await s3.page({ prefix: '', delimiter: '/' })).prefixes).toEqual(['a/'])
      expect((await s3.page({ prefix: 'a/', startAfter: 'a/b' })).objects.map(({ key }) => key)).toEqual([
        'a/é',
        'a/日本',
      ])
      expect((await s3.get('a/é', { range: [2, 3] }))?.bytes.toString()).toBe('é')
      expect([await s3.head('nothing'), await s3.get('nothing')]).toEqual([null, null])
      expect(await s3.head('a/b')).toMatchObject({ size: 3 })
      expect(await s3.versioning()).toBe('off')
      await s3.removeAll([...keys, 'nothing'])
      expect((await s3.page({ prefix: '' })).objects).toEqual([])
      expect(Math.abs(s3.ahead() ?? Number.NaN)).toBeLessThan(5000)
    } finally {
      s3.close()
    }
  })
})
