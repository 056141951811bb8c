import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { Buckets } from '../../src/store/contract/blob-store.ts'
import { nearNames } from '../../src/store/near-names.ts'
import type { Backend } from '../../src/store/ports.ts'
import { collect, put, textOf, told } from './acts.ts'

describe.each<[string, (directory: string) => Promise<Backend>]>([
  ['in memory', async () => openMemory()],
  ['on disk', (directory) => openLocal({ directory, clock })],
])('buckets %s', (_, openBackend) => {
  let directory: string
  let buckets: Buckets
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'blobs-'))
    buckets = openBuckets({ backend: await openBackend(directory), clock, ids, device: 'laptop' })
  })
  afterEach(async () => {
    await buckets.close()
    await rm(directory, { recursive: true })
  })

  it('are made, listed, changed and removed', async () => {
    expect(await collect(buckets.list())).toEqual([])
    const made = await buckets.create('team', { maxBlobSize: 100 })
    expect(made).toMatchObject({ name: 'team', blobs: 0, bytes: 0, options: { maxBlobSize: 100 } })
    await buckets.create('art')
    expect((await collect(buckets.list())).map(({ name }) => name)).toEqual(['art', 'team'])
    expect(await buckets.configure('team', { maxBlobSize: 5 })).toMatchObject({
      epoch: made.epoch,
      created: made.created,
      options: { maxBlobSize: 5 },
    })
    await buckets.remove('art')
    expect(await collect(buckets.list())).toEqual([await (await buckets.open('team')).info()])
  })

  it('have a name once', async () => {
    await buckets.create('team')
    await expect(buckets.create('team')).rejects.toMatchObject({ code: 'AlreadyExists', bucket: 'team' })
    const made = await Promise.allSettled(Array.from({ length: 5 }, () => buckets.create('race')))
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  it.each(['', 'x', 'Team', 'a/b', '.x', '-x', 'a'.repeat(64), 'ä1'])('refuse the name %j', async (name) => {
    await expect(buckets.create(name)).rejects.toMatchObject({ code: 'InvalidRequest' })
    await expect(buckets.open(name)).rejects.toMatchObject({ code: 'InvalidRequest' })
  })

  it('that are not there are not found, and near names are told', async () => {
    await buckets.create('reports')
    for (const attempt of [buckets.open('reprots'), buckets.remove('reprots'), buckets.configure('reprots', {})]) {
      await expect(attempt).rejects.toMatchObject({
        code: 'NotFound',
        bucket: 'reprots',
        hint: expect.stringContaining('reports'),
      })
    }
    await expect(buckets.open('quite-other')).rejects.toMatchObject({ hint: expect.not.stringContaining('reports') })
  })

  it('refuse blobs that are larger than their option says', async () => {
    await buckets.create('team', { maxBlobSize: 5 })
    const store = await buckets.open('team')
    await expect(put(store, 'k', '123456')).rejects.toMatchObject({ code: 'TooLarge', key: 'k' })
    await put(store, 'k', '12345')
    await buckets.configure('team', {})
    await put(store, 'k', '123456')
    await expect(buckets.configure('team', { maxBlobSize: -1 })).rejects.toMatchObject({ code: 'InvalidRequest' })
  })

  it('are another bucket when they are made again', async () => {
    const first = await buckets.create('team')
    const old = await buckets.open('team')
    await put(old, 'k', 'old')
    await buckets.remove('team')
    await expect(old.head('k')).rejects.toMatchObject({ code: 'NotFound' })
    await expect(put(old, 'k', '1')).rejects.toMatchObject({ code: 'NotFound' })
    const second = await buckets.create('team')
    expect(second.epoch).not.toBe(first.epoch)
    const store = await buckets.open('team')
    expect(await store.head('k')).toBeNull()
    await expect(collect(store.changes({ since: first.head }))).rejects.toMatchObject({ code: 'CursorForked' })
  })

  it('tell a waiting reader that they were removed', async () => {
    await buckets.create('team')
    const store = await buckets.open('team')
    const reading = expect(collect(store.changes({ live: true }))).rejects.toMatchObject({ code: 'NotFound' })
    await buckets.remove('team')
    await reading
  })

  it('leave no view behind when they are removed', async () => {
    await buckets.create('team')
    await put(await buckets.open('team'), 'k', '1')
    await buckets.remove('team')
    const files = await readdir(directory, { recursive: true })
    expect(files.filter((file) => /[0-9a-f]{32}/.test(file))).toEqual([])
  })

  it('may be open many times; closing one closes only that', async () => {
    await buckets.create('team')
    const [one, two] = [await buckets.open('team'), await buckets.open('team')]
    const items: string[] = []
    const reading = (async () => {
      for await (const item of one.changes({ live: true })) items.push(told(item))
    })()
    await put(two, 'k', '1')
    await two.close()
    await expect(two.head('k')).rejects.toMatchObject({ code: 'InvalidRequest' })
    expect(await textOf(one, 'k')).toBe('1')
    await put(one, 'k', '2')
    await one.close()
    await reading
    expect(items).toContain('put k 1')
    const three = await buckets.open('team')
    expect(await textOf(three, 'k')).toBe('2')
    expect((await three.head('k'))?.device).toBe('laptop')
  })
})

describe('a bucket whose making was cut short', () => {
  it('is an empty one', async () => {
    const backend = openMemory()
    await backend.create('team')
    const buckets = openBuckets({ backend, clock, ids })
    const [one, two] = await Promise.all([buckets.open('team'), buckets.open('team')])
    expect((await one.info()).epoch).toBe((await two.info()).epoch)
    await put(one, 'k', '1')
    expect(await textOf(two, 'k')).toBe('1')
  })
})

it.each<[string, string[]]>([
  ['reprots', ['reports']],
  ['report', ['reports', 'reports-2024']],
  ['REPORTS', []],
  ['art', ['arts']],
  ['zzz', []],
])('the near names of %s', (name, near) => {
  expect(nearNames(name, ['arts', 'photos', 'reports', 'reports-2024'])).toEqual(near)
})
