import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Capability } from '../../../src/access/grant.ts'
import { openLocal } from '../../../src/backends/local/local.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import { openBuckets } from '../../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../../src/store/contract/blob-store.ts'
import { openHttpBuckets } from '../../../src/store/http/buckets.ts'
import { lacksNats, startNats } from '../../backends/nats-server.ts'
import { lacksGateway, startGateway } from '../../backends/radosgw.ts'
import { bucketsAt } from '../../backends/driver/open.ts'
import { running } from '../../server/running.ts'
import { put, remove } from '../../store/acts.ts'
import { noise } from '../../store/noise.ts'
import { backup, historyOf, memoryBuckets, restore, target } from './histories.ts'

interface Place {
  readonly buckets: Buckets
  stop(): Promise<void>
}

function temporary(): { readonly directory: string; stop(): Promise<void> } {
  const directory = mkdtempSync(join(tmpdir(), 'blobs-backup-'))
  return { directory, stop: async () => rmSync(directory, { recursive: true }) }
}

async function local(): Promise<Place> {
  const { directory, stop } = temporary()
  return { buckets: openBuckets({ backend: await openLocal({ directory, clock }), clock, ids }), stop }
}

async function folder(): Promise<Place> {
  const { directory, stop } = temporary()
  return { buckets: await bucketsAt(`folder://${directory}`, {}), stop }
}

async function server(): Promise<Place> {
  const there = await running({ on: 'disk' })
  const can = ['read', 'write', 'delete', 'admin'] as const
  const token = await there.token({ bucket: '*', can })
  return {
    buckets: await openHttpBuckets({ origin: there.url, token }),
    stop: async () => there[Symbol.asyncDispose](),
  }
}

async function nats(): Promise<Place> {
  const there = await startNats()
  return { buckets: await bucketsAt(`nats://${there.address}/place`, {}), stop: () => there.stop() }
}

async function s3(): Promise<Place> {
  const gateway = await startGateway()
  const url = `s3://${await gateway.makeBucket()}/place?endpoint=${gateway.url}`
  return { buckets: await bucketsAt(url, { env: gateway.env }), stop: gateway.stop }
}

const PLACES: readonly (readonly [name: string, open: () => Promise<Place>, lacks: string | null])[] = [
  ['the local backend', local, null],
  ['a server', server, null],
  ['a shared folder', folder, null],
  ['NATS', nats, lacksNats()],
  ['S3', s3, lacksGateway()],
]

/** Entries of several changes, versions of all sizes, a key that came back, and writers. */
async function write(team: BlobStore, seed: number): Promise<void> {
  await put(team, 'small', `small ${seed}`)
  await put(team, 'middle', noise(200_000, seed))
  await put(team, 'large', Buffer.concat([noise(2_000_000), noise(100, seed)]), { meta: { mode: '755' } })
  await remove(team, 'small')
  await put(team, 'empty', '')
}

describe.each(PLACES)('a backup in %s', (_, open, lacks) => {
  it.skipIf(lacks !== null && process.env['CI'] === undefined)(
    `${lacks ?? 'has the history of its bucket, goes on, and can be restored there and here'}`,
    async () => {
      const here = memoryBuckets()
      await here.create('team', { keepVersions: 3 })
      const team = await here.open('team')
      const place = await open()
      const { buckets } = place
      for (const seed of [1, 2]) {
        await write(team, seed)
        expect(await backup(team, target(buckets, 'copy'))).toMatchObject({ versions: 5, damaged: [] })
      }
      const copy = await buckets.open('copy')
      const history = await historyOf(team)
      expect(await historyOf(copy)).toEqual(history)
      await expect(put(copy, 'small', 'by somebody else')).rejects.toMatchObject({ code: 'Refused' })
      await restore(copy, target(buckets, 'back'))
      await restore(copy, target(here, 'back'))
      for (const restored of [await buckets.open('back'), await here.open('back')]) {
        expect(await historyOf(restored)).toEqual(history)
        const { epoch, options } = await restored.info()
        expect(options).toEqual({ keepVersions: 3 })
        expect(epoch).not.toBe((await team.info()).epoch)
        expect(await put(restored, 'small', 'after')).toMatchObject({ version: 5 })
        await restored.close()
      }
      await copy.close()
      await Promise.all([here.close(), buckets.close()])
      await place.stop()
    },
    60_000,
  )
})

it('a server takes the history of another bucket from nobody but who may administer the bucket', async () => {
  await using there = await running()
  const opened = async (can: readonly Capability[]): Promise<Buckets> => {
    return openHttpBuckets({ origin: there.url, token: await there.token({ bucket: '*', can }) })
  }
  const admin = await opened(['read', 'write', 'delete', 'admin'])
  const writer = await opened(['read', 'write', 'delete'])
  const here = memoryBuckets()
  await here.create('team')
  const team = await here.open('team')
  await put(team, 'a', 'a')
  await expect(backup(team, target(writer, 'copy'))).rejects.toMatchObject({ code: 'Forbidden' })
  await backup(team, target(admin, 'copy'))
  await put(team, 'a', 'b')
  await expect(backup(team, target(writer, 'copy'))).rejects.toMatchObject({ code: 'Forbidden' })
  await expect(restore(await admin.open('copy'), target(writer, 'new'))).rejects.toMatchObject({ code: 'Forbidden' })
  for (const buckets of [admin, writer, here]) await buckets.close()
})
