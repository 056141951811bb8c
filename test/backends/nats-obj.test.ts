import { describe, expect, it } from 'vitest'
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Objm, type ObjectStore } from '@nats-io/obj'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { sha256 } from '../../src/content/hash.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { addressesAt, addressSuite, bytesOf, inPieces } from './address-suite.ts'
import { present } from './conformance.ts'
import { lacksNats, startNats } from './nats-server.ts'

const lacks = lacksNats()

addressSuite(
  'nats+obj',
  async () => {
    const server = await startNats()
    let places = 0
    return { place: async () => `nats+obj://${server.address}/PLACE_${places++}`, stop: () => server.stop() }
  },
  {
    lacks,
    // The meta of the object is made to name the messages of another one of the same length.
    damage: async (url, hash) => {
      const [bucket, connection] = [
        splitPlace(url).path.slice(1),
        await connect({ servers: splitPlace(url).authority }),
      ]
      const api = (await jetstreamManager(connection)).streams
      const subject = `$O.${bucket}.M.${Buffer.from(hash).toString('base64url').padEnd(88, '=')}`
      const message = present(await api.getMessage(`OBJ_${bucket}`, { last_by_subj: subject }))
      const { data } = message
      const meta = JSON.parse(Buffer.from(data).toString()) as { nuid: string; chunks: number }
      const nuid = 'other'
      for (const size of [131_072, 131_072, 300_000 - 262_144])
        await connection.request(`$O.${bucket}.C.${nuid}`, randomBytes(size))
      await connection.request(subject, JSON.stringify({ ...meta, nuid }))
      await connection.close()
    },
  },
)

describe.skipIf(lacks !== null)(`objects of NATS (${lacks ?? 'between its own client and ours'})`, () => {
  const clientOf = async (address: string): Promise<{ connection: NatsConnection; store: ObjectStore }> => {
    const connection = await connect({ servers: address })
    return { connection, store: await new Objm(connection).create('TEST_blobs') }
  }

  it.each([0, 5, 131_072, 1_000_000])(
    '%i bytes that one put are read by the other, and the other way round',
    async (size) => {
      const server = await startNats()
      const ours = await addressesAt(`nats+obj://${server.address}/TEST_blobs`)
      const [mine, theirs] = [randomBytes(size), randomBytes(size + 1)]
      await ours.put(inPieces(mine, 10_000))
      const { connection, store } = await clientOf(server.address)
      expect(Buffer.compare(present(await store.getBlob(sha256(mine))), mine)).toBe(0)
      expect(await store.info(sha256(mine))).toMatchObject({ size, chunks: Math.ceil(size / 131_072), deleted: false })
      await store.putBlob({ name: sha256(theirs) }, theirs)
      expect(Buffer.compare(present(await bytesOf(ours, sha256(theirs))), theirs)).toBe(0)
      const before = await store.status()
      await ours.put(inPieces(theirs, 999))
      expect((await store.status()).size).toBe(before.size)
      expect((await store.list()).map(({ name }) => name).sort()).toEqual([sha256(mine), sha256(theirs)].sort())
      await store.delete(sha256(theirs))
      expect(await ours.find(sha256(theirs))).toBeNull()
      await ours.put(inPieces(theirs, 1000))
      expect(Buffer.compare(present(await store.getBlob(sha256(theirs))), theirs)).toBe(0)
      await connection.close()
      await ours.close()
      await server.stop()
    },
  )

  it('an object under a hash that is not its own is Corrupt, and one under another name is not seen', async () => {
    const server = await startNats()
    const { connection, store } = await clientOf(server.address)
    const name = sha256(Buffer.from('other'))
    await store.putBlob({ name }, Buffer.from('not what it says'))
    await store.putBlob({ name: 'readme' }, Buffer.from('text'))
    const ours = await addressesAt(`nats+obj://${server.address}/TEST_blobs`)
    await expect(ours.get(name)).rejects.toMatchObject({ code: 'Corrupt' })
    const found: string[] = []
    for await (const batch of ours.list()) found.push(...batch.map(({ hash }) => hash))
    expect(found).toEqual([name])
    await connection.close()
    await ours.close()
    await server.stop()
  })

  it('a directory and a bucket have the same addresses: what is in one is put into the other as it is', async () => {
    const server = await startNats()
    const objects = await addressesAt(`nats+obj://${server.address}/copy`)
    const files = await addressesAt(`folder+cas://${mkdtempSync(join(tmpdir(), 'blobs-cas-'))}`)
    const bytes = randomBytes(700_000)
    const { hash } = await files.put(inPieces(bytes, 4096))
    await objects.put(present(await files.get(hash)).stream, { expected: { hash, size: 700_000 } })
    expect(Buffer.compare(present(await bytesOf(objects, hash)), bytes)).toBe(0)
    const other = await objects.put(inPieces(randomBytes(200_000), 4096))
    expect(await files.put(present(await objects.get(other.hash)).stream)).toEqual(other)
    for (const store of [objects, files]) await store.close()
    await server.stop()
  })

  it('a bucket that is not there is NotFound to who reads', async () => {
    const server = await startNats()
    const ours = await addressesAt(`nats+obj://${server.address}/nothing`)
    await expect(ours.find(sha256(Buffer.from('x')))).rejects.toMatchObject({ code: 'NotFound' })
    await expect(ours.list()[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'NotFound' })
    await ours.close()
    await server.stop()
  })
})
