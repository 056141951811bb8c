import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeToken, openPlace, startServer } from '../../scripts/harness.ts'
import { percentile } from '../figures.ts'
import { tokensFor } from '../load/tokens.ts'
import { cpuSeconds, residentMiB } from '../process.ts'
import { until } from '../programs.ts'

/** What so many live feeds of one bucket cost a server. */
export interface Feeds {
  readonly feeds: number
  /** KiB of memory for each, once all are quiet. */
  readonly memory: number
  /** Milliseconds from a put until it was answered, and until half, 99 % and all of them had told it. */
  readonly answered: number
  readonly half: number
  readonly most: number
  readonly all: number
  /** Milliseconds of a processor that the server used for one put, and percent of one while nothing happened. */
  readonly putCpu: number
  readonly idleCpu: number
}

const PUTS = 20
const IDLE_MS = 20_000
/** Feeds that are opened at once. */
const TOGETHER = 50
/** A server bounds what one token may have open, and how many connections come from one address. */
const FEEDS_OF_TOKEN = 900
const FEEDS_OF_ADDRESS = 1500

export async function measureFeeds(counts: readonly number[], onFeeds: (feeds: Feeds) => void): Promise<void> {
  for (const count of counts) onFeeds(await feedsOf(count))
}

async function feedsOf(count: number): Promise<Feeds> {
  const place = openPlace('blobs-scaling-')
  try {
    const host = place.machine('server')
    const server = await startServer(host)
    const token = readFileSync(await makeToken(host, server, '*'), 'utf8').trim()
    const put = async (): Promise<void> => {
      const options = { method: 'PUT', headers: { authorization: `Bearer ${token}` }, body: randomBytes(100) }
      const answer = await fetch(`${server.url}/v1/buckets/feeds/blobs/key`, options)
      if (!answer.ok) throw new Error(await answer.text())
    }
    await fetch(`${server.url}/v1/buckets/feeds`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${token}` },
      body: '{}',
    })
    await put()
    const tokens = await tokensFor({
      server: server.url,
      bucket: 'feeds',
      token,
      count: Math.ceil(count / FEEDS_OF_TOKEN),
    })
    const { pid } = server.process
    const before = residentMiB(pid)
    const heard: number[] = []
    const feeds: Socket[] = []
    for (let n = 0; n < count; n += TOGETHER) {
      const some = Array.from({ length: Math.min(TOGETHER, count - n) }, (_, index) =>
        openFeed(new URL(server.url), n + index, tokens, () => heard.push(performance.now())),
      )
      feeds.push(...(await Promise.all(some)))
    }
    await sleep(2000)
    const idle = cpuSeconds(pid)
    await sleep(IDLE_MS)
    const idleCpu = ((cpuSeconds(pid) - idle) * 1000 * 100) / IDLE_MS
    const memory = ((residentMiB(pid) - before) * 1024) / count
    const spans: { answered: number; half: number; most: number; all: number }[] = []
    const cpu = cpuSeconds(pid)
    for (let n = 0; n < PUTS; n++) {
      heard.length = 0
      const started = performance.now()
      await put()
      const answered = performance.now() - started
      await until('every feed tells', () => heard.length >= count, { every: 5 })
      const times = heard.map((at) => at - started)
      spans.push({ answered, half: percentile(times, 50), most: percentile(times, 99), all: Math.max(...times) })
    }
    const putCpu = ((cpuSeconds(pid) - cpu) * 1000) / PUTS
    for (const feed of feeds) feed.destroy()
    await server.process.stop('SIGKILL')
    const median = (name: keyof (typeof spans)[number]): number =>
      percentile(
        spans.map((span) => span[name]),
        50,
      )
    const told = { answered: median('answered'), half: median('half'), most: median('most'), all: median('all') }
    return { feeds: count, memory, ...told, putCpu, idleCpu }
  } finally {
    await place.dispose()
  }
}

/** Resolves once it has told what there is; calls `heard` for each put from then on. */
function openFeed({ port }: URL, number: number, tokens: readonly string[], heard: () => void): Promise<Socket> {
  const token = tokens[Math.floor(number / FEEDS_OF_TOKEN)]
  const localAddress = `127.0.0.${2 + Math.floor(number / FEEDS_OF_ADDRESS)}`
  return new Promise((resolve, reject) => {
    const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress })
    let begun = false
    socket.on('error', reject)
    socket.on('data', (bytes) => {
      const text = bytes.toString('latin1')
      if (begun && text.includes('"type":"put"')) heard()
      if (begun || !text.includes('"type":"bookmark"')) return
      begun = true
      resolve(socket)
    })
    socket.write(
      `GET /v1/buckets/feeds/changes?live=1 HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ${token}\r\n\r\n`,
    )
  })
}
