import type { ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'
import { openRequests } from '../../src/backends/s3/requests.ts'
import { readSettings } from '../../src/backends/s3/settings.ts'
import { systemClock } from '../../src/platform/system.ts'

interface S3Service {
  /** As an endpoint. */
  readonly url: string
  /** Credentials. */
  readonly env: Readonly<Record<string, string>>
}

/** Makes an S3 bucket, which keeps versions or not. */
export async function makeS3Bucket(
  name: string,
  { url, env }: S3Service,
  { versioned } = { versioned: false },
): Promise<void> {
  const settings = readSettings(name, new Map([['endpoint', url]]), env)
  const requests = await openRequests({ settings, clock: systemClock, chance: Math.random })
  try {
    const { refusal } = await requests.send({ method: 'PUT', key: '' })
    const body = Buffer.from('<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>')
    const set = versioned ? await requests.send({ method: 'PUT', key: '', query: { versioning: '' }, body }) : null
    const refused = refusal ?? set?.refusal
    if (refused) throw new Error(`the bucket was not made: ${JSON.stringify(refused)}`)
  } finally {
    requests.close()
  }
}

/** Kills a server; resolves when it has ended. */
export function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill('SIGKILL')
  })
}

/** Ports of loopback, of which no two are the same. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))))
  const ports = servers.map((server) => (server.address() as AddressInfo).port)
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
  return ports
}
