/**
 * `npm run load -- [--server URL]… [--connections 64] [--seconds 10] [--puts | --gets | --mixed] [--size 1024] [--keys 10000] [--rate N]`:
 * asks small things of one server, or of several before the same store, over many connections, and tells how many were answered and how
 * soon. With a rate, requests are due at even times, and each counts from when it was due. Without a server it starts its own, which
 * `--profile DIR` has write what its processor did. A server given by `--server` takes the token of `BLOBS_TOKEN` or `BLOBS_TOKEN_FILE`; one
 * that may administer the bucket makes a token for each connection, because a server bounds the requests of one token.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { makeToken, openPlace, startServer } from '../../scripts/harness.ts'
import { open } from '../../src/client.ts'
import { openConnection } from './connection.ts'
import { drive, type Driven } from './drive.ts'
import { fillBucket } from './fill.ts'
import { requestsOf, type Mix } from './requests.ts'
import { tokensFor } from './tokens.ts'

const { values } = parseArgs({
  options: {
    server: { type: 'string', multiple: true, default: [] },
    bucket: { type: 'string', default: 'load' },
    connections: { type: 'string', default: '64' },
    seconds: { type: 'string', default: '10' },
    'warm-up': { type: 'string', default: '2' },
    puts: { type: 'boolean', default: false },
    gets: { type: 'boolean', default: false },
    mixed: { type: 'boolean', default: false },
    size: { type: 'string', default: '1024' },
    keys: { type: 'string', default: '10000' },
    rate: { type: 'string' },
    profile: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

const number = (name: 'connections' | 'seconds' | 'warm-up' | 'size' | 'keys' | 'rate'): number => {
  const value = Number(values[name])
  if (Number.isFinite(value) && value >= 0) return value
  throw new Error(`--${name} is not a number: ${values[name] ?? ''}`)
}
const mixes = (['puts', 'gets', 'mixed'] as const).filter((mix) => values[mix])
const settings = {
  bucket: values.bucket,
  connections: number('connections'),
  seconds: number('seconds'),
  warmUp: number('warm-up'),
  size: number('size'),
  keys: number('keys'),
  rate: values.rate === undefined ? null : number('rate'),
}

if (values.server.length > 0) await measure(values.server, tokenOf(process.env))
else await measureOwn()

async function measureOwn(): Promise<void> {
  const place = openPlace('blobs-load-')
  const profiling = values.profile === undefined ? {} : { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${values.profile}` }
  try {
    const host = place.machine('server')
    const server = await startServer(place.machine('server', profiling))
    await measure([server.url], readFileSync(await makeToken(host, server, '*'), 'utf8').trim())
    await server.process.stop()
  } finally {
    await place.dispose()
  }
}

async function measure(servers: readonly string[], token: string): Promise<void> {
  const { bucket, connections: count, size, keys } = settings
  const [first = ''] = servers
  const target = await open(`${first}/${bucket}`, { token, create: true, env: {} })
  await fillBucket(target.store, { end: keys, size })
  await target.close()
  const tokens = await tokensFor({ server: first, bucket, token, count })
  const connections = Array.from({ length: count }, (_, index) =>
    openConnection(new URL(servers[index % servers.length] ?? '')),
  )
  const run = async (mix: Mix, seconds: number): Promise<Driven> => {
    const next = requestsOf({ mix, bucket, keys, size, tokens, host: new URL(first).host })
    return drive({ connections, next, milliseconds: seconds * 1000, rate: settings.rate })
  }
  for (const mix of mixes.length > 0 ? mixes : (['puts', 'gets', 'mixed'] as const)) {
    await run(mix, settings.warmUp)
    tell(mix, servers, await run(mix, settings.seconds))
  }
  for (const connection of connections) connection.close()
}

function tokenOf(env: NodeJS.ProcessEnv): string {
  const { BLOBS_TOKEN: token, BLOBS_TOKEN_FILE: file } = env
  if (token !== undefined) return token
  if (file !== undefined) return readFileSync(file, 'utf8').trim()
  throw new Error('a server needs a token: give it as BLOBS_TOKEN or BLOBS_TOKEN_FILE')
}

function tell(mix: Mix, servers: readonly string[], { tallies, milliseconds }: Driven): void {
  const { connections, size, rate } = settings
  const rows = [...tallies].map(([kind, { times, failures }]) => ({
    kind,
    answered: times.count,
    perSecond: (times.count * 1000) / milliseconds,
    p50: times.percentile(50),
    p90: times.percentile(90),
    p99: times.percentile(99),
    max: times.max,
    failures: Object.fromEntries(failures),
  }))
  const facts = { mix, servers: servers.length, connections, size, rate, seconds: milliseconds / 1000 }
  if (values.json) return console.log(JSON.stringify({ ...facts, rows }))
  const pace = rate === null ? 'as fast as answered' : `${rate} a second`
  console.log(`\n${mix} of ${size} bytes over ${connections} connections, ${servers.length} server(s), ${pace}`)
  for (const { kind, perSecond, failures, ...row } of rows) {
    const times = (['p50', 'p90', 'p99', 'max'] as const).map((name) => `${name} ${row[name].toFixed(1)} ms`)
    console.log(`  ${kind}: ${perSecond.toFixed(0)} a second, ${times.join(', ')}`)
    for (const [what, count] of Object.entries(failures)) console.log(`    ${count} × ${what}`)
  }
}
