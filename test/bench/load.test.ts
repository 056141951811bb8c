import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { openConnection } from '../../bench/load/connection.ts'
import { drive } from '../../bench/load/drive.ts'
import { openHistogram } from '../../bench/load/histogram.ts'
import { requestsOf } from '../../bench/load/requests.ts'

describe('the load generator', () => {
  const ends: (() => void)[] = []
  afterEach(() => ends.splice(0).forEach((end) => end()))

  async function serve(answer: Parameters<typeof createServer>[1]): Promise<URL> {
    const server = createServer({}, answer)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    ends.push(() => (server.closeAllConnections(), server.close()))
    return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  }

  it('tells percentiles to within one percent', () => {
    const times = fc.array(fc.double({ min: 0.001, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(times, fc.integer({ min: 1, max: 100 }), (all, percent) => {
        const histogram = openHistogram()
        for (const time of all) histogram.add(time)
        const sorted = all.toSorted((a, b) => a - b)
        const exact = sorted[Math.max(0, Math.ceil((all.length * percent) / 100) - 1)] ?? 0
        expect(histogram.percentile(percent) / exact).toBeGreaterThan(0.989)
        expect(histogram.percentile(percent) / exact).toBeLessThan(1.011)
        expect(histogram.count).toBe(all.length)
      }),
    )
  })

  it('puts and gets with a token, whole bodies each way, over one connection', async () => {
    const seen: string[] = []
    const url = await serve((request, response) => {
      let bytes = 0
      request.on('data', (piece: Buffer) => (bytes += piece.length))
      request.on('end', () => {
        seen.push(`${request.method} ${request.headers.authorization} ${bytes}`)
        response.writeHead(200, { 'content-length': 100_000 }).end(Buffer.alloc(100_000))
      })
    })
    const next = requestsOf({ mix: 'mixed', bucket: 'b', keys: 5, size: 700, tokens: ['t'], host: url.host })
    const connection = openConnection(url)
    ends.push(() => connection.close())
    for (let index = 0; index < 4; index++) expect(await connection.ask(next(0).request)).toBe(200)
    expect(seen).toEqual(['PUT Bearer t 700', 'GET Bearer t 0', 'PUT Bearer t 700', 'GET Bearer t 0'])
  })

  it('counts a request from when it was due, so that a server that stands still is seen as long as it does', async () => {
    const started = performance.now()
    const url = await serve((request, response) => {
      const wait = performance.now() - started < 300 ? 300 : 0
      void sleep(wait).then(() =>
        response.writeHead(request.method === 'GET' ? 200 : 503, { 'content-length': 0 }).end(),
      )
    })
    const connection = openConnection(url)
    ends.push(() => connection.close())
    const next = requestsOf({ mix: 'gets', bucket: 'b', keys: 5, size: 8, tokens: ['t'], host: url.host })
    const { tallies } = await drive({ connections: [connection], next, milliseconds: 500, rate: 100 })
    const times = tallies.get('get')?.times
    // One request was slow, and those that were due meanwhile waited.
    expect(times?.percentile(50)).toBeGreaterThan(20)
    expect(times?.max).toBeGreaterThan(290)
  })

  it('tells refusals and lost connections apart from answers', async () => {
    let count = 0
    const url = await serve((request, response) => {
      if (++count % 2 === 0) return void request.socket.destroy()
      response.writeHead(503, { 'content-length': 2 }).end('no')
    })
    const connection = openConnection(url)
    ends.push(() => connection.close())
    const next = requestsOf({ mix: 'gets', bucket: 'b', keys: 5, size: 8, tokens: ['t'], host: url.host })
    const { tallies } = await drive({ connections: [connection], next, milliseconds: 200, rate: null })
    const tally = tallies.get('get')
    expect(tally?.times.count).toBe(0)
    expect(tally?.failures.get('503')).toBeGreaterThan(0)
    expect([...(tally?.failures.keys() ?? [])]).toHaveLength(2)
  })
})
