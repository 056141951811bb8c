import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src/platform/system.ts'
import { ended, freePorts, makeS3Bucket } from './s3-service.ts'

/** The system's own: it has the packages. */
const PYTHON = '/usr/bin/python3'
const KEYS = { AWS_ACCESS_KEY_ID: 'blobs:tests', AWS_SECRET_ACCESS_KEY: 'secret/of+tests' } as const
const KINDS = ['account', 'container', 'object'] as const
const START_LIMIT = 60_000
/** On a busy machine too, a write waits until it is listed. */
const PATIENT = 'conn_timeout = 20\nnode_timeout = 20'

/** Writes the rings: each has one device, `disk`, at the port behind its name. */
const RINGS = `
import sys
from os.path import join
from swift.common.ring import RingBuilder
folder, *rings = sys.argv[1:]
for kind, port in zip(rings[::2], rings[1::2]):
    ring = RingBuilder(4, 1, 1)
    ring.add_dev({'region': 1, 'zone': 1, 'weight': 1, 'ip': '127.0.0.1', 'port': int(port), 'device': 'disk'})
    ring.rebalance()
    ring.get_ring().save(join(folder, kind + '.ring.gz'))
`
/** Does what swift-proxy-server and its like do, with swift.conf elsewhere than in /etc. */
const SERVER = `
import sys
from swift.common.utils import set_swift_dir
from swift.common.wsgi import run_wsgi
folder, name = sys.argv[1:]
set_swift_dir(folder)
sys.exit(run_wsgi(folder + '/' + name + '.conf', name, verbose=True))
`
/** Fails where Swift is not installed, or where the folder's file system keeps no attributes. */
const LOOK = `
import os, sys, swift.common.middleware.s3api
os.setxattr(sys.argv[1], 'user.swift.metadata', b'1')
`

/** OpenStack's Swift with its face for S3, keeping one copy of everything in a directory. */
export interface Swift {
  /** As an endpoint. */
  readonly url: string
  /** Credentials, and no file of AWS's tools. */
  readonly env: Readonly<Record<string, string>>
  /** Makes an S3 bucket; gives its name. */
  makeBucket(): Promise<string>
  stop(): Promise<void>
}

/** Why it cannot be started on this machine, or null. */
export function lacksSwift(): string | null {
  if (spawnSync('memcached', ['--version']).status !== 0) return 'memcached is not installed'
  const folder = mkdtempSync(join(tmpdir(), 'blobs-swift-'))
  const { status, stderr, error } = spawnSync(PYTHON, ['-c', LOOK, folder], { encoding: 'utf8' })
  rmSync(folder, { recursive: true })
  return status === 0 ? null : `no Swift here: ${error?.message ?? stderr.trim().split('\n').at(-1)}`
}

export async function startSwift(): Promise<Swift> {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-swift-'))
  const children: ChildProcess[] = []
  const log = openSync(join(folder, 'log'), 'a')
  const start = (program: string, args: readonly string[]): void => {
    const child = spawn(program, args, { stdio: ['ignore', log, log], cwd: folder })
    child.on('error', () => undefined)
    children.push(child)
  }
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(ended))
    closeSync(log)
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    const url = await startServers(folder, start)
    const env = { ...KEYS, AWS_CONFIG_FILE: join(folder, 'none'), AWS_SHARED_CREDENTIALS_FILE: join(folder, 'none') }
    let made = 0
    return {
      url,
      env,
      makeBucket: async () => {
        const name = `blobs-${++made}`
        await makeS3Bucket(name, { url, env })
        return name
      },
      stop,
    }
  } catch (error) {
    const told = readFileSync(join(folder, 'log'), 'utf8').slice(-2000)
    await stop()
    throw new Error(`Swift did not start: ${told}`, { cause: error })
  }
}

async function startServers(
  folder: string,
  start: (program: string, args: readonly string[]) => void,
): Promise<string> {
  const [proxy = 0, memory = 0, ...ports] = await freePorts(2 + KINDS.length)
  const user = userInfo().username
  const common = `swift_dir = ${folder}\nuser = ${user}\nbind_ip = 127.0.0.1\nworkers = 0\nlog_level = WARNING`
  mkdirSync(join(folder, 'devices', 'disk'), { recursive: true })
  writeFileSync(join(folder, 'swift.conf'), '[swift-hash]\nswift_hash_path_suffix = blobs\n')
  writeFileSync(join(folder, 'proxy-server.conf'), proxyOf(`${common}\nbind_port = ${proxy}`, memory))
  for (const [index, kind] of KINDS.entries()) {
    const text = serverOf(kind, `${common}\nbind_port = ${ports[index]}`, join(folder, 'devices'))
    writeFileSync(join(folder, `${kind}-server.conf`), text)
  }
  const rings = spawnSync(PYTHON, ['-c', RINGS, folder, ...KINDS.flatMap((kind, index) => [kind, `${ports[index]}`])])
  if (rings.status !== 0) throw new Error(`there are no rings: ${rings.stderr}`)
  start('memcached', ['-l', '127.0.0.1', '-p', `${memory}`, '-U', '0', '-u', user])
  for (const name of ['proxy', ...KINDS]) start(PYTHON, ['-c', SERVER, folder, `${name}-server`])
  const all = [proxy, ...ports].map((port) => `http://127.0.0.1:${port}`)
  const started = performance.now()
  while (!(await Promise.all(all.map(isHealthy))).every(Boolean)) {
    if (performance.now() - started > START_LIMIT) throw new Error('it does not answer')
    await systemClock.sleep(100)
  }
  return all[0] ?? ''
}

/** The face for S3 stands right before what signs its users in, as Swift's own sample has it. */
function proxyOf(common: string, memory: number): string {
  const filters = ['catch_errors', 'gatekeeper', 'healthcheck', 'proxy_logging', 'listing_formats', 'copy', 'bulk']
  const [account, user] = KEYS.AWS_ACCESS_KEY_ID.split(':')
  return `[DEFAULT]
${common}
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo proxy_logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
${PATIENT}
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:${memory}
[filter:tempauth]
use = egg:swift#tempauth
user_${account}_${user} = ${KEYS.AWS_SECRET_ACCESS_KEY} .admin
${[...filters, 's3api', 'slo', 'dlo'].map((name) => `[filter:${name}]\nuse = egg:swift#${name}\n`).join('')}`
}

function serverOf(kind: string, common: string, devices: string): string {
  return `[DEFAULT]
${common}
devices = ${devices}
mount_check = false
fallocate_reserve = 0
[pipeline:main]
pipeline = healthcheck ${kind}-server
[app:${kind}-server]
use = egg:swift#${kind}
${PATIENT}
container_update_timeout = 20
[filter:healthcheck]
use = egg:swift#healthcheck
`
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/healthcheck`, { signal: AbortSignal.timeout(2000) })).ok
  } catch {
    return false
  }
}
