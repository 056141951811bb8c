import { execFile, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openS3Client, type S3Client } from '../../src/backends/s3/client.ts'
import { readSettings } from '../../src/backends/s3/settings.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock } from '../../src/platform/system.ts'
import { bytesOf, put } from '../store/acts.ts'
import { openMachine } from '../commands/blobs.ts'
import { bucketsAt } from './driver/open.ts'
import { lacksGateway, startGateway, type Gateway } from './radosgw.ts'

const lacks = lacksGateway()
const lacksTool = spawnSync('aws', ['--version']).status === 0 ? null : 'aws is not installed'
if (process.env['CI'] !== undefined && lacks !== null) throw new Error(`the gateway cannot be tested: ${lacks}`)

describe.skipIf(lacks !== null)(`S3 as Ceph's gateway speaks it (${lacks ?? 'started here'})`, () => {
  let gateway: Gateway
  beforeAll(async () => {
    gateway = await startGateway()
  }, 120_000)
  afterAll(() => gateway?.stop())

  const urlOf = (bucket: string, rest: string): string => `s3://${bucket}/${rest}?endpoint=${gateway.url}`
  async function clientOf(bucket: string): Promise<S3Client> {
    const settings = readSettings(bucket, new Map([['endpoint', gateway.url]]), gateway.env)
    return openS3Client({ settings, clock: systemClock, chance: Math.random })
  }

  it('catches the bucket with versions lying, and says what to do', async () => {
    const bucket = await gateway.makeBucket({ versioned: true })
    const machine = openMachine()
    try {
      const refused = await machine.blobs(['bucket', 'create', urlOf(bucket, 'notes')], { env: gateway.env })
      expect(refused.code).toBe(12)
      expect(refused.stderr).toContain('does not keep several writers apart: it ignores the condition of a write')
      expect(refused.stderr).toContain('it keeps versions, with which some services ignore conditions')
      const examined = await machine.blobs(['doctor', urlOf(bucket, '')], { env: gateway.env })
      expect(examined.stdout).toContain('fact: versioning by the service is on')
      expect(examined.stdout).toContain('warning: this bucket does not keep several writers apart')
      const alone = await machine.blobs(['bucket', 'create', urlOf(bucket, 'notes'), '--single-writer'], {
        env: gateway.env,
      })
      expect(alone.code, alone.stderr).toBe(0)
      expect(alone.stderr).toContain('warning: ')
      const file = machine.write('a.txt', 'alone')
      const env = { ...gateway.env, BLOBS_SINGLE_WRITER: '1' }
      expect((await machine.blobs(['put', file, urlOf(bucket, 'notes/')], { env })).code).toBe(0)
      expect((await machine.blobs(['put', file, urlOf(bucket, 'notes/b')], { env: gateway.env })).code).toBe(12)
      expect((await machine.blobs(['cat', urlOf(bucket, 'notes/a.txt')], { env: gateway.env })).stdout).toBe('alone')
    } finally {
      await machine.dispose()
    }
  }, 120_000)

  it('speaks with the client: odd names, conditions, ranges, pages, versions, removal of many', async () => {
    const s3 = await clientOf(await gateway.makeBucket({ versioned: true }))
    try {
      const keys = ['a/ +%\'()*!~&=?<>"', 'a/b', 'a/é', 'a/日本', 'z\u0007', 'z@1_2']
      for (const key of keys) expect(await s3.put(key, Buffer.from(key))).toMatchObject({ made: true })
      const found: string[] = []
      for await (const batch of s3.list({ prefix: '', limit: 2 })) found.push(...batch.map(({ key }) => key))
      expect(found).toEqual(keys)
      expect((await s3.page({ prefix: '', delimiter: '/' })).prefixes).toEqual(['a/'])
      expect((await s3.get('a/é', { range: [2, 3] }))?.bytes.toString()).toBe('é')
      const { versionId } = await s3.put('a/b', Buffer.from('second'))
      expect(versionId).not.toBe('')
      await s3.put('a/b', Buffer.from('third'))
      expect((await s3.get('a/b', { versionId }))?.bytes.toString()).toBe('second')
      expect((await s3.get('a/b'))?.bytes.toString()).toBe('third')
      expect(await s3.versioning()).toBe('on')
      await s3.removeAll([...keys, 'nothing'])
      expect((await s3.page({ prefix: '' })).objects).toEqual([])
      expect(Math.abs(s3.ahead() ?? Number.NaN)).toBeLessThan(5000)
    } finally {
      s3.close()
    }
  })

  it('finds what is missing among thousands by few requests, and among few', async () => {
    const bucket = await gateway.makeBucket()
    const buckets = await bucketsAt(urlOf(bucket, 'deep'), gateway)
    try {
      await buckets.create('notes')
      const store = await buckets.open('notes')
      const chunks = Array.from({ length: 700 }, (_, n) => Buffer.from(`chunk ${n}`)).map((bytes) => ({
        hash: sha256(bytes),
        bytes,
      }))
      await store.stage(chunks.filter((_, n) => n % 7 !== 0))
      const wanted = chunks.filter((_, n) => n % 7 === 0).map(({ hash }) => hash)
      const other = await bucketsAt(urlOf(bucket, 'deep'), gateway)
      const missing = await (await other.open('notes')).missing(chunks.map(({ hash }) => hash))
      expect([...missing].sort()).toEqual([...wanted].sort())
      await other.close()
    } finally {
      await buckets.close()
    }
  }, 60_000)

  it.skipIf(lacksTool !== null)(
    `another client finds the layout and the bytes that the documentation names (${lacksTool ?? 'aws'})`,
    async () => {
      const bucket = await gateway.makeBucket()
      const buckets = await bucketsAt(urlOf(bucket, ''), gateway)
      await buckets.create('notes')
      const bytes = randomBytes(40_000)
      await put(await buckets.open('notes'), 'a.bin', bytes)
      await buckets.close()
      const aws = async (...args: string[]): Promise<string> => {
        const env = {
          ...process.env,
          ...gateway.env,
          AWS_DEFAULT_REGION: 'us-east-1',
          AWS_EC2_METADATA_DISABLED: 'true',
        }
        return (await promisify(execFile)('aws', ['--endpoint-url', gateway.url, 's3api', ...args], { env })).stdout
      }
      const listed = JSON.parse(await aws('list-objects-v2', '--bucket', bucket)) as { Contents: { Key: string }[] }
      const names = listed.Contents.map(({ Key }) => Key)
      const folder = mkdtempSync(join(tmpdir(), 'blobs-aws-'))
      const read = async (key: string): Promise<Buffer> => {
        const file = join(folder, 'object')
        await aws('get-object', '--bucket', bucket, '--key', key, file)
        return readFileSync(file)
      }
      const id = (await read('buckets/notes/0000000000000001')).toString()
      const chunk = sha256(bytes)
      expect(names.sort()).toEqual([
        'buckets/notes/0000000000000001',
        `data/notes/${id}/content/${chunk.slice(0, 2)}/${chunk}`,
        `data/notes/${id}/log/0000000000000001`,
        `data/notes/${id}/log/0000000000000002`,
      ])
      expect(sha256(await read(`data/notes/${id}/content/${chunk.slice(0, 2)}/${chunk}`))).toBe(chunk)
      const frame = await read(`data/notes/${id}/log/0000000000000002`)
      expect(frame.subarray(0, 12).toString()).toBe('blobs-log 1\n')
      expect(frame.subarray(-64).toString()).toBe(sha256(frame.subarray(0, -64)))
      const again = await bucketsAt(urlOf(bucket, ''), gateway)
      expect(sha256((await bytesOf(await again.open('notes'), 'a.bin')) ?? Buffer.of())).toBe(chunk)
      await again.close()
    },
    60_000,
  )
})
