import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { lacksNats, startNats, type NatsServer } from '../backends/nats-server.ts'
import { openMachine, type Machine } from './blobs.ts'

const lacks = lacksNats()

describe.skipIf(lacks !== null)(`blobs with a server of NATS (${lacks ?? 'that is there'})`, () => {
  let server: NatsServer
  let machine: Machine
  beforeAll(async () => {
    server = await startNats()
  })
  afterAll(() => server.stop())
  beforeEach(() => (machine = openMachine()))
  afterEach(() => machine.dispose())

  it('finds the one of several that is there, warns of one alone once, and is examined by doctor', async () => {
    const place = `nats://127.0.0.1:9,${server.address}`
    const made = await machine.blobs(['bucket', 'create', `${place}/team`])
    expect([made.code, made.stderr]).toEqual([0, expect.stringContaining('one server')])
    const put = await machine.blobs(['put', machine.write('a.txt', 'by NATS'), `${place}/team/`])
    expect([put.code, put.stderr]).toEqual([0, ''])
    expect((await machine.blobs(['cat', `${place}/team/a.txt`])).stdout).toBe('by NATS')
    const found = (await machine.blobs(['doctor', `${place}/team`, '--json'])).json()
    expect(found).toMatchObject({ ok: true, buckets: 1 })
    expect(found['findings']).toContainEqual(expect.objectContaining({ code: 'replicas', severity: 'warning' }))
    expect(found['findings']).toContainEqual(expect.objectContaining({ code: 'server' }))
  })

  it('keeps bytes by their address in an object bucket, from stdin of any length', async () => {
    const place = `nats+obj://${server.address}/MEDIA`
    const input = Buffer.alloc(1_000_000, 'blobs')
    const put = await machine.blobs(['put', '--address', '-', place], { input })
    expect([put.code, put.stdout]).toEqual([0, expect.stringMatching(/^sha256:[0-9a-f]{64}\n$/)])
    const address = put.stdout.trim()
    const env = { BLOBS_SERVER: place }
    expect((await machine.blobs(['get', address, '-'], { env })).bytes.equals(input)).toBe(true)
    expect((await machine.blobs(['ls', place])).stdout).toBe(`${address}\n`)
    expect((await machine.blobs(['get', `sha256:${'0'.repeat(64)}`], { env })).code).toBe(6)
  })
})
