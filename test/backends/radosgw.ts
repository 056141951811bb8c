import { execFile, spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '../../src/platform/system.ts'
import { ended, freePorts, makeS3Bucket } from './s3-service.ts'

const run = promisify(execFile)
const KEYS = { AWS_ACCESS_KEY_ID: 'BLOBSTESTS', AWS_SECRET_ACCESS_KEY: 'secret/of+tests' } as const
const PROGRAMS = ['radosgw', 'radosgw-admin', 'ceph', 'ceph-mon', 'ceph-osd', 'monmaptool'] as const
const START_LIMIT = 90_000

/** Ceph's gateway for S3, over a cluster of one monitor and one disk in memory. */
export interface Gateway {
  /** As an endpoint. */
  readonly url: string
  /** Credentials, and no file of AWS's tools. */
  readonly env: Readonly<Record<string, string>>
  /** Makes an S3 bucket, which keeps versions or not; gives its name. */
  makeBucket(options?: { readonly versioned: boolean }): Promise<string>
  stop(): Promise<void>
}

/** Why it cannot be started on this machine, or null. */
export function lacksGateway(): string | null {
  const missing = PROGRAMS.filter((name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0)
  return missing.length === 0 ? null : `${missing.join(', ')} not installed`
}

export async function startGateway(): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-radosgw-'))
  const children: ChildProcess[] = []
  const start = (program: string, args: readonly string[]): void => {
    const child = spawn(program, [...args, '-f', '-c', join(folder, 'ceph.conf')], { stdio: 'ignore', cwd: folder })
    child.on('error', () => undefined)
    children.push(child)
  }
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(ended))
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const url = await startCluster(folder, start)
    const env = { ...KEYS, AWS_CONFIG_FILE: join(folder, 'none'), AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none') }
    let made = 0
    return {
      url,
      env,
      makeBucket: async ({ versioned } = { versioned: false }) => {
        const name = `blobs-${++made}`
        await makeS3Bucket(name, { url, env }, { versioned })
        return name
      },
      stop,
    }
  } catch (error) {
    const log = readFileSync(join(folder, 'client.admin.log'), 'utf8').slice(-2000)
    await stop()
    throw new Error(`the gateway did not start: ${log}`, { cause: error })
  }
}

async function startCluster(
  folder: string,
  start: (program: string, args: readonly string[]) => void,
): Promise<string> {
  const config = join(folder, 'ceph.conf')
  const act = (program: string, ...args: readonly string[]) =>
    run(program, [...args, '-c', config], { cwd: folder, timeout: START_LIMIT })
  const cluster = randomUUID()
  const [monitor = 0, port = 0] = await freePorts(2)
  writeFileSync(config, configOf(folder, cluster, monitor))
  mkdirSync(join(folder, 'mon'))
  mkdirSync(join(folder, 'osd'))
  const map = join(folder, 'monmap')
  await run('monmaptool', ['--create', '--fsid', cluster, '--addv', 'a', `[v2:127.0.0.1:${monitor}]`, map])
  await act('ceph-mon', '--mkfs', '-i', 'a', '--monmap', map)
  start('ceph-mon', ['-i', 'a'])
  await act('ceph', 'osd', 'new', cluster)
  await act('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', cluster)
  start('ceph-osd', ['-i', '0'])
  const keys = ['--access-key', KEYS.AWS_ACCESS_KEY_ID, '--secret-key', KEYS.AWS_SECRET_ACCESS_KEY]
  await act(
    'radosgw-admin',
    'user',
    'create',
    '--uid',
    'blobs',
    '--display-name',
    'blobs',
    '--max-buckets',
    '0',
    ...keys,
  )
  start('radosgw', [
    '-n',
    'client.admin',
    '--no-mon-config',
    `--rgw-frontends=beast endpoint=127.0.0.1:${port} tcp_nodelay=1`,
  ])
  const url = `http://127.0.0.1:${port}`
  const started = performance.now()
  while (!(await answers(url))) {
    if (performance.now() - started > START_LIMIT) throw new Error('it does not answer')
    await systemClock.sleep(100)
  }
  return url
}

/** Nothing is kept on a disk, nobody signs in within the cluster, and the monitor decides at once what it decides alone. */
function configOf(folder: string, cluster: string, monitor: number): string {
  return `[global]
fsid = ${cluster}
run dir = ${folder}
admin socket =
log file = ${folder}/$name.log
mon data = ${folder}/mon
osd data = ${folder}/osd
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind msgr1 = false
mon host = v2:127.0.0.1:${monitor}
mon initial members = a
mon allow pool size one = true
mon max pg per osd = 1000
mon tick interval = 1
mon election timeout = 1
mon lease = 2
paxos propose interval = 0.02
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
`
}

async function answers(url: string): Promise<boolean> {
  try {
    await fetch(url, { signal: AbortSignal.timeout(2000) })
    return true
  } catch {
    return false
  }
}
