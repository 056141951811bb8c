import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { hasher, sha256 } from '../../src/content/hash.ts'
import { blobToHeaders } from '../../src/protocol/blob-headers.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import type { BlobStore, GetOptions } from '../../src/store/contract/blob-store.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { retrying } from '../../src/store/retry.ts'

const MiB = 1024 * 1024
const id = 'a'.repeat(32)
const position = `${id}:1:${id}`

/** A server that has one blob, and says of it what it likes. */
async function serverOf(bytes: Buffer, hash: string, onAnswer: (response: ServerResponse) => void = () => undefined) {
  const modified = '2030-01-01T00:00:00Z'
  const info = { bucket: 'team', key: 'k', version: 1, size: bytes.length, hash, contentType: 'text/plain', modified }
  const more = { deleted: false, meta: {}, position, entry: id, author: '', device: '' }
  const bucket = { name: 'team', epoch: id, head: position, created: modified, blobs: 1, bytes: 1, options: {} }
  const server = createServer((request, response) => {
    if (request.url === '/v1/buckets/team') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(bucket))
      return
    }
    response.writeHead(200, { ...blobToHeaders({ ...info, ...more }), 'content-length': bytes.length }).end(bytes)
    onAnswer(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const buckets = await openHttpBuckets({ origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  return {
    store: await buckets.open('team'),
    [Symbol.asyncDispose]: async () => {
      await buckets.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

it('a blob is read no faster than its reader goes, and loses nothing', async () => {
  const bytes = Buffer.alloc(96 * MiB, 'a large blob')
  let accepted = 0
  await using at = await serverOf(bytes, sha256(bytes), (response) => {
    const look = setInterval(() => (accepted = (response.socket?.bytesWritten ?? 0) - response.writableLength), 10)
    response.once('close', () => clearInterval(look))
  })
  const pieces = (await at.store.get('k'))?.stream[Symbol.asyncIterator]()
  const whole = hasher()
  const first = await pieces?.next()
  await sleep(300)
  // What the systems of both sides keep for a connection is some MiB.
  expect(accepted).toBeLessThan(32 * MiB)
  for (let next = first; next && !next.done; next = await pieces?.next()) whole.update(next.value)
  expect(whole.digest('hex')).toBe(sha256(bytes))
})

it('the end of a blob that is another is handed out to nobody but who compares it himself', async () => {
  const bytes = Buffer.alloc(3 * MiB, 'a large blob')
  await using at = await serverOf(bytes, sha256(Buffer.from('another')))
  const read = async (store: BlobStore, options: GetOptions = {}): Promise<unknown> => {
    let size = 0
    try {
      for await (const piece of (await store.get('k', options))?.stream ?? []) size += piece.length
    } catch (error) {
      expect(size).toBeLessThan(bytes.length)
      return error
    }
    return size
  }
  expect(await read(at.store)).toMatchObject({ code: 'Corrupt', key: 'k' })
  expect(await read(at.store, { readerCompares: true })).toBe(bytes.length)
  expect(await read(retrying(at.store, { clock, chance: () => 0 }))).toMatchObject({ code: 'Corrupt', key: 'k' })
})
