import { closeSync, openSync, writeSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPlace, type Machine, type Place, type Running } from '../../scripts/harness.ts'
import { sha256 } from '../../scripts/manifest.ts'
import { open } from '../../src/client.ts'
import { EMPTY_HASH } from '../../src/content/hash.ts'
import type { EntryInput } from '../../src/store/contract/types.ts'
import { lacksNats, startNats, type NatsServer } from '../backends/nats-server.ts'
import { newId } from '../server/running.ts'
import { noise } from '../store/noise.ts'

const lacks = lacksNats()
if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`slow clients cannot be tested: ${lacks}`)

const MiB = 1024 * 1024
const LARGE = 64 * MiB
/** Bytes that a slow reader takes at once, and milliseconds until it takes more: 10 KB a second. */
const SIP = 2048
const PAUSE = 200
const DEAF = 60
const CHANGES = 3000
const EACH = 100
/** Changes that were kept for each of those who do not read would be 700 MiB. */
const MOST = 500 * MiB
/** More than a change takes in a feed: all of them together are more than connections hold. */
const LINE = 8192

describe.skipIf(lacks !== null)(`a server over NATS (${lacks ?? 'run'})`, () => {
  let place: Place
  let nats: NatsServer
  let server: Running
  let client: Machine
  let url: URL
  let token: string
  const sockets: Socket[] = []

  beforeAll(async () => {
    place = openPlace('blobs-slow-')
    nats = await startNats()
    const host = place.machine('server', { BLOBS_BACKEND: `nats://${nats.address}` })
    const data = join(host.home, 'data')
    server = host.start(['serve', '--json', '--port', '0', '--data', data])
    url = new URL(String((await server.event('a server', ({ type }) => type === 'listening'))['url']))
    token = (await host.must(['token', 'create', 'team', '--data', data, '-q'])).out.trim()
    client = place.machine('client', { BLOBS_TOKEN: token, BLOBS_SERVER: url.origin })
  })
  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    await place?.dispose()
    await nats?.stop()
  })

  /** A connection that has asked, and takes nothing yet. */
  const asking = (path: string): Promise<Socket> =>
    new Promise((resolve, reject) => {
      const socket = connect(Number(url.port), url.hostname)
      sockets.push(socket.pause())
      socket.once('error', reject).once('connect', () => resolve(socket))
      socket.write(`GET /v1/buckets/team/${path} HTTP/1.1\r\nhost: test\r\nauthorization: Bearer ${token}\r\n\r\n`)
    })

  it('passes a large blob on in little memory, and others go on at speed while some hardly read and others never', async () => {
    const path = writeLarge(join(client.home, 'large'))
    await client.must(['put', path, 'team/large'])
    expect(server.peakMemory()).toBeLessThan(300 * MiB)
    const slow = sip(await asking('blobs/large'))
    const deaf = await Promise.all(Array.from({ length: DEAF }, () => asking('changes?live=1')))
    const watching = client.start(['watch', 'team', '--json'])
    const getting = client.start(['get', 'team/large', join(client.home, 'copy')])
    await using bucket = await open(`${url.origin}/team`, { token, env: {} })
    for (let first = 0; first < CHANGES; first += EACH) {
      const entries = Array.from({ length: EACH }, (_, index) => entryOf(`key-${first + index}`))
      const outcomes = await bucket.store.commit(entries)
      expect(outcomes.every(({ ok }) => ok)).toBe(true)
    }
    await watching.event('the last change', ({ key }) => key === `key-${CHANGES - 1}`, 60_000)
    expect((await getting.ended).code).toBe(0)
    expect(await sha256(join(client.home, 'copy'))).toBe(await sha256(path))
    expect(server.peakMemory()).toBeLessThan(MOST)
    // They are served still: one at its pace, the others whenever they begin to read.
    expect(slow.bytes()).toBeGreaterThan(SIP)
    expect(slow.bytes()).toBeLessThan(LARGE / 100)
    expect(deaf.filter(({ destroyed }) => destroyed)).toEqual([])
    await hears(deaf[0], `"key-${CHANGES - 1}"`)
  }, 120_000)
})

function writeLarge(path: string): string {
  const file = openSync(path, 'wx')
  for (let at = 0; at < LARGE; at += 16 * MiB) writeSync(file, noise(16 * MiB, at))
  closeSync(file)
  return path
}

/** Reads on and on, very little at once. */
function sip(socket: Socket): { bytes(): number } {
  let bytes = 0
  const timer = setInterval(() => (bytes += (socket.read(SIP) as Buffer | null)?.length ?? 0), PAUSE)
  socket.on('readable', () => undefined).once('close', () => clearInterval(timer))
  return { bytes: () => bytes }
}

/** Resolves when a text has come that nobody has read until now. */
function hears(socket: Socket | undefined, text: string): Promise<void> {
  let tail = ''
  return new Promise((resolve, reject) => {
    socket?.once('close', () => reject(new Error(`it ended before ${text}`)))
    socket?.on('data', (piece: Buffer) => {
      tail = (tail + piece.toString('latin1')).slice(-2 * LINE)
      if (tail.includes(text)) resolve()
    })
    socket?.resume()
  })
}

function entryOf(key: string): EntryInput {
  const empty = { hash: EMPTY_HASH, size: 0, body: { depth: 0, refs: [] } }
  const meta = { note: 'x'.repeat(LINE / 2) }
  return { id: newId(), changes: [{ type: 'put', key, expect: 'absent', contentType: 'text/plain', meta, ...empty }] }
}
