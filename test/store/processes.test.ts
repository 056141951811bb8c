import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import { textOf } from './acts.ts'

interface Report {
  readonly seen: readonly string[]
  readonly versions: readonly string[]
  readonly cursor: string
  readonly conflicts: number
}
const PROCESSES = 4
const ROUNDS = 15
const TOTAL = PROCESSES * ROUNDS

it('processes that write to one key at once, each expecting what it read, lose nothing and see the same', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'blobs-'))
  const buckets = openBuckets({ backend: await openLocal({ directory, clock }), clock, ids })
  await buckets.create('bucket')
  const script = fileURLToPath(new URL('writer-process.ts', import.meta.url))
  const run = async (): Promise<Report> => {
    const args = ['--no-warnings', script, directory, String(ROUNDS), String(TOTAL)]
    return JSON.parse((await promisify(execFile)(process.execPath, args)).stdout) as Report
  }
  const reports = await Promise.all(Array.from({ length: PROCESSES }, run))
  const store = await buckets.open('bucket')
  expect((await store.head('k'))?.version).toBe(TOTAL)
  expect(await textOf(store, 'k')).toBe(String(TOTAL))
  const digests = Array.from({ length: TOTAL }, (_, index) => sha256(Buffer.from(String(TOTAL - index))))
  for (const report of reports) {
    expect(report.versions).toEqual(reports[0]?.versions)
    expect(report.versions.map((version) => version.split(' ')[1])).toEqual(digests)
    expect(report.seen).toEqual(Array.from({ length: TOTAL }, (_, index) => `put k ${index + 1}`))
  }
  const views = (await readdir(directory, { recursive: true })).filter((file) => /[0-9a-f]{32}\.db$/.test(file))
  expect(views).toHaveLength(1)
  await buckets.close()
  await rm(directory, { recursive: true })
}, 60_000)
