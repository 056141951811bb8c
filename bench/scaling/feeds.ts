import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeToken, openPlace, startServer } from '../../scripts/harness.ts'
import { open } from '../../src/client.ts'
import { median, percentile } from '../figures.ts'
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
    const bucket = await open(`${server.url}/feeds`, { token, create: true, env: {} })
    await bucket.put('key', 'there already')
    const wanted = { server: server.url, bucket: 'feeds', token, count: Math.ceil(count / FEEDS_OF_TOKEN) }
    const tokens = await tokensFor(wanted)
    const { pid } = server.process
    const before = residentMiB(pid)
    const heard: number[] = []
    const feeds = await openFeeds(new URL(server.url), count, tokens, () => heard.push(performance.now()))
    await sleep(2000)
    const idle = cpuSeconds(pid)
    await sleep(IDLE_MS)
    const idleCpu = ((cpuSeconds(pid) - idle) * 1000 * 100) / IDLE_MS
    const memory = ((residentMiB(pid) - before) * 1024) / count
    const cpu = cpuSeconds(pid)
    const told = await tell(count, heard, () => bucket.put('key', randomBytes(100)))
    const putCpu = ((cpuSeconds(pid) - cpu) * 1000) / PUTS
    await bucket.close()
    for (const feed of feeds) feed.destroy()
    await server.process.stop('SIGKILL')
    return { feeds: count, memory, ...told, putCpu, idleCpu }
  } finally {
    await place.dispose()
  }
}

type Told = Pick<Feeds, 'answered' | 'half' | 'most' | 'all'>

/** Medians of some puts, one after the other: each is told by every feed before the next. */
async function tell(count: number, heard: number[], put: () => Promise<unknown>): Promise<Told> {
  const spans: Told[] = []
  for (let n = 0; n < PUTS; n++) {
    heard.length = 0
    const started = performance.now()
    await put()
    const answered = performance.now() - started
    await until('every feed tells', () => heard.length >= count, { every: 5 })
    const times = heard.map((at) => at - started)
    spans.push({ answered, half: median(times), most: percentile(times, 99), all: Math.max(...times) })
  }
  const of = (name: keyof Told): number => median(spans.map((span) => span[name]))
  return { answered: of('answered'), half: of('half'), most: of('most'), all: of('all') }
}

async function openFeeds(
  server: URL,
  count: number,
  tokens: readonly string[],
  heard: () => void,
): Promise<readonly Socket[]> {
  const feeds: Socket[] = []
  for (let n = 0; n < count; n += TOGETHER) {
    const some = Array.from({ length: Math.min(TOGETHER, count - n) }, (_, index) =>
      openFeed(server, n + index, tokens, heard),
    )
    feeds.push(...(await Promise.all(some)))
  }
  return feeds
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
