import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { io } from 'socket.io-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openPlace, ROOT, type Machine, type Place, type Running } from '../../scripts/harness.ts'
import { lacksNginx, startNginx, type Nginx } from '../../scripts/nginx.ts'
import { lacksNats } from '../backends/nats-server.ts'
import { makeCertificates, startNodes, type Cluster } from './cluster.ts'
import { startPrometheus, type Prometheus } from './prometheus.ts'

const lacksPrometheus = spawnSync('prometheus', ['--version']).status === 0 ? null : 'there is no prometheus'
const lacks = lacksNats() ?? lacksNginx() ?? lacksPrometheus
if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`the deployment cannot be tested: ${lacks}`)

const LIMIT = 120_000

describe.skipIf(lacks !== null)(
  `three servers on three nodes of NATS, by the files in deploy (${lacks ?? 'run'})`,
  () => {
    let place: Place
    let cluster: Cluster
    let nginx: Nginx
    let prometheus: Prometheus
    let client: Machine
    let token: string
    const fronts: { readonly process: Running; readonly address: string }[] = []

    beforeAll(async () => {
      place = openPlace('blobs-deploy-')
      const tls = makeCertificates(join(place.folder, 'tls'))
      cluster = await startNodes(place.folder, tls)
      const host = place.machine('host', {
        TOKEN_SECRET: randomBytes(32).toString('hex'),
        NATS_USER: 'blobs',
        NATS_PASSWORD: cluster.password,
        NODE_EXTRA_CA_CERTS: join(tls, 'inner.crt'),
        BLOBS_BACKEND: `nats://${cluster.addresses.join(',')}?replicas=3&tls=required`,
      })
      const start = async (index: number): Promise<(typeof fronts)[number]> => {
        const certificate = ['--tls-cert', join(tls, 'inner.crt'), '--tls-key', join(tls, 'inner.key')]
        const process_ = host.start([
          'serve',
          '--json',
          '--port',
          '0',
          '--data',
          join(host.home, `${index}`),
          ...certificate,
        ])
        const { url } = await process_.event('a server', ({ type }) => type === 'listening', LIMIT)
        return { process: process_, address: `127.0.0.1:${new URL(String(url)).port}` }
      }
      fronts.push(...(await Promise.all([0, 1, 2].map(start))))
      const create = async (...args: string[]): Promise<string> =>
        (await host.must(['token', 'create', ...args, '--data', join(host.home, '0'), '-q'])).out.trim()
      token = await create('team')
      const tokens = join(place.folder, 'tokens')
      mkdirSync(tokens)
      writeFileSync(join(tokens, 'prometheus.token'), await create('*', '--can', 'admin'), { mode: 0o600 })
      const targets = fronts.map(({ address }) => address)
      nginx = await startNginx(targets, tls)
      prometheus = await startPrometheus(join(place.folder, 'prometheus'), { targets, tls, tokens })
      client = place.machine('client', { BLOBS_TOKEN: token, NODE_EXTRA_CA_CERTS: join(tls, 'public.crt') })
    }, LIMIT)
    afterAll(async () => {
      await prometheus?.stop()
      await nginx?.stop()
      await place?.dispose()
      await cluster?.stop()
    }, LIMIT)

    const blobs = async (...args: string[]): Promise<string> => (await client.must(args)).out
    const soon = async (what: string, holds: () => Promise<boolean>): Promise<void> => {
      for (const end = Date.now() + 30_000; !(await holds()); await sleep(200))
        if (Date.now() > end) throw new Error(`never came: ${what}`)
    }

    it('a blob that was put through one address is read through it, whoever answers', async () => {
      const bytes = randomBytes(5_000_000)
      writeFileSync(join(client.home, 'large.bin'), bytes)
      await blobs('put', 'large.bin', `${nginx.url}/team/`)
      for (let turn = 0; turn < 3; turn++) {
        await blobs('get', `${nginx.url}/team/large.bin`, `copy-${turn}.bin`)
        expect(readFileSync(join(client.home, `copy-${turn}.bin`)).equals(bytes)).toBe(true)
      }
    })

    it('changes are told live through nginx, and apps poll or hold a socket', async () => {
      const feed = client.start(['watch', `${nginx.url}/team`, '--json'])
      for (const transports of [['polling'], ['websocket']]) {
        const socket = io(nginx.url, {
          auth: { token },
          transports,
          ca: readFileSync(join(place.folder, 'tls', 'public.crt'), 'utf8'),
        })
        await new Promise<void>((resolve, reject) => {
          socket.once('connect', resolve)
          socket.once('connect_error', reject)
        })
        socket.disconnect()
      }
      await client.must(['put', '-', `${nginx.url}/team/note`], { input: Buffer.from('live') })
      await feed.event('the note', ({ key }) => key === 'note')
      await feed.stop('SIGINT')
    })

    it('metrics are not for the public, and Prometheus has them of every server', async () => {
      expect((await client.run(['cat', `${nginx.url}/metrics`])).code).not.toBe(0)
      await soon('three that are up', async () => (await prometheus.query('up{job="blobs"} == 1')).length === 3)
      await soon('three that are ready', async () => (await prometheus.query('blobs_ready == 1')).length === 3)
      expect(await prometheus.firing()).toEqual([])
    })

    it('every query of the dashboard is one, and asks for series that there are', async () => {
      const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy', 'grafana', 'blobs.json'), 'utf8')) as {
        readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[]
      }
      const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
      expect(expressions.length).toBeGreaterThan(20)
      const names = new Set<string>()
      for (const expression of expressions) {
        await prometheus.query(expression.replaceAll('$instance', '.*').replaceAll('$__rate_interval', '1m'))
        for (const [name] of expression.matchAll(/\b(blobs|process)_[a-z_]+/g)) names.add(name)
      }
      const known = [...names].filter((name) => !/^blobs_(agent|store)_/.test(name))
      const missing: string[] = []
      for (const name of known) if ((await prometheus.query(name)).length === 0) missing.push(name)
      // What nobody did here: of live clients, no event; of connections, none too many.
      expect(missing.filter((name) => !name.startsWith('blobs_live_event_'))).toEqual([])
    })

    it('when a server dies writes go on through the others, and an alert fires', async () => {
      const [first] = fronts
      if (first === undefined) throw new Error('no server')
      await first.process.stop('SIGKILL')
      for (let turn = 0; turn < 6; turn++)
        await client.must(['put', '-', `${nginx.url}/team/after/${turn}`], { input: Buffer.from(`${turn}`) })
      expect((await blobs('ls', `${nginx.url}/team/after/`, '--json')).match(/after\/\d"/g)).toHaveLength(6)
      await soon('the alert', async () => (await prometheus.firing()).includes(`BlobsDown ${first.address}`))
    })
  },
)
