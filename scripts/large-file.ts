/**
 * `npm run large-file -- --size 5GiB`: makes a file of seeded extents between holes, puts it into a bucket of a real server, gets it back,
 * and compares. Exit code 0 only when the SHA-256 are equal and neither the client nor the server ever used more than 250 MiB of memory.
 */
import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { makeToken, openPlace, startServer, type Running } from './harness.ts'
import { sha256 } from './manifest.ts'

const MIB = 1024 ** 2
const LIMIT = 250 * MIB
const EXTENT = 4 * MIB
const UNITS: Readonly<Record<string, number>> = { MiB: MIB, GiB: 1024 ** 3 }

const { values } = parseArgs({
  options: { size: { type: 'string', default: '1GiB' }, seed: { type: 'string', default: '1' } },
})
const size = parseSize(values.size)
const place = openPlace('blobs-large-')
try {
  process.exitCode = (await putAndGet()) ? 0 : 1
} finally {
  await place.dispose()
}

async function putAndGet(): Promise<boolean> {
  const source = join(place.folder, 'source.bin')
  const copy = join(place.folder, 'copy.bin')
  writeExtents(source, size, Number(values.seed))
  console.log(`${values.size}, seed ${values.seed}: seeded extents of ${EXTENT / MIB} MiB between holes`)

  const host = place.machine('server')
  const server = await startServer(host)
  const client = place.machine('client', {
    BLOBS_TOKEN_FILE: await makeToken(host, server, 'large'),
    BLOBS_SERVER: server.url,
  })
  const put = await timed('put', client.start(['put', source, 'large/file.bin']), server.process)
  const get = await timed('get', client.start(['get', 'large/file.bin', copy]), server.process)

  const [before, after] = [await sha256(source), await sha256(copy)]
  console.log(`sha256  ${before === after ? `equal: ${before}` : `DIFFERENT: ${before} and ${after}`}`)
  return before === after && put && get
}

/** Resolves to whether both processes stayed within the limit. Throws when the client fails. */
async function timed(what: string, client: Running, server: Running): Promise<boolean> {
  const started = performance.now()
  let clientPeak = 0
  let serverPeak = 0
  const look = (): void => {
    clientPeak = client.peakMemory()
    serverPeak = server.peakMemory()
  }
  const timer = setInterval(look, 20)
  const finished = await client.ended
  look()
  clearInterval(timer)
  if (finished.code !== 0) throw new Error(`${what} ended with ${finished.code ?? finished.signal}\n${finished.err}`)
  const spent = (performance.now() - started) / 1000
  const mib = (bytes: number): string => `${Math.round(bytes / MIB)} MiB`
  const within = clientPeak < LIMIT && serverPeak < LIMIT
  const rate = Math.round(size / MIB / spent)
  console.log(
    `${what}     ${spent.toFixed(1)} s, ${rate} MiB/s · peak memory: client ${mib(clientPeak)}, server ${mib(serverPeak)}${within ? '' : ` MORE THAN ${mib(LIMIT)}`}`,
  )
  return within
}

/** Every 64 MiB an extent of pseudo-random bytes, the rest holes; the same for the same seed. */
function writeExtents(path: string, length: number, seed: number): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    ftruncateSync(file, length)
    let state = seed | 1
    const words = new Int32Array(EXTENT / 4)
    for (let at = 0; at + EXTENT <= length; at += 16 * EXTENT) {
      for (let i = 0; i < words.length; i++) {
        // xorshift32
        state ^= state << 13
        state ^= state >>> 17
        state ^= state << 5
        words[i] = state
      }
      writeSync(file, words, 0, EXTENT, at)
    }
  } finally {
    closeSync(file)
  }
}

function parseSize(text: string): number {
  const [, number = '', unit = ''] = /^(\d+)(MiB|GiB)$/.exec(text) ?? []
  const bytes = Number(number) * (UNITS[unit] ?? Number.NaN)
  if (bytes >= EXTENT) return bytes
  throw new Error(`--size ${text}: write a number and MiB or GiB, at least ${EXTENT / MIB}MiB`)
}
