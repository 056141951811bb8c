import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { hasher, sha256 } from '../../src/content/hash.ts'
import { blobToHeaders } from '../../src/protocol/blob-headers.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'

const MiB = 1024 * 1024
const id = 'a'.repeat(32)
const position = `${id}:1:${id}`

it('a blob is read no faster than its reader goes, and loses nothing', async () => {
  const bytes = Buffer.alloc(96 * MiB, 'a large blob')
  const hash = sha256(bytes)
  const modified = '2030-01-01T00:00:00Z'
  const info = { bucket: 'team', key: 'k', version: 1, size: bytes.length, hash, contentType: 'text/plain', modified }
  const more = { deleted: false, meta: {}, position, entry: id, author: '', device: '' }
  const bucket = { name: 'team', epoch: id, head: position, created: modified, blobs: 1, bytes: 1, options: {} }
  let accepted = 0
  const server = createServer((request, response) => {
    if (request.url === '/v1/buckets/team') {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(bucket))
      return
    }
    response.writeHead(200, { ...blobToHeaders({ ...info, ...more }), 'content-length': bytes.length }).end(bytes)
    const look = setInterval(() => (accepted = (response.socket?.bytesWritten ?? 0) - response.writableLength), 10)
    response.once('close', () => clearInterval(look))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const buckets = await openHttpBuckets({ origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  try {
    const pieces = (await (await buckets.open('team')).get('k'))?.stream[Symbol.asyncIterator]()
    const whole = hasher()
    const first = await pieces?.next()
    await sleep(300)
    // What the systems of both sides keep for a connection is some MiB.
    expect(accepted).toBeLessThan(32 * MiB)
    for (let next = first; next && !next.done; next = await pieces?.next()) whole.update(next.value)
    expect(whole.digest('hex')).toBe(hash)
  } finally {
    await buckets.close()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})
