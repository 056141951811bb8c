import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../../scripts/harness.ts'
import { freePorts } from '../../scripts/free-ports.ts'

export interface Cluster {
  /** `localhost:port` of each node. */
  readonly addresses: readonly string[]
  readonly password: string
  stop(): Promise<void>
}

/** Makes the certificates that the files of `deploy` name: `inner` by its script, and one for the public. */
export function makeCertificates(directory: string): string {
  const script = join(ROOT, 'deploy', 'inner-certificate.sh')
  execFileSync(script, [directory], { stdio: 'pipe' })
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  const name = ['-subj', '/CN=public', '-addext', 'subjectAltName=DNS:localhost']
  const files = ['-keyout', join(directory, 'public.key'), '-out', join(directory, 'public.crt')]
  execFileSync('openssl', ['req', '-x509', ...curve, ...name, ...files], { stdio: 'pipe' })
  return directory
}

/** Three nodes of NATS by the configuration in `deploy/nats`, on free ports of loopback; they form while they are used. */
export async function startNodes(directory: string, tls: string): Promise<Cluster> {
  const password = 'not-a-secret'
  const [clients, routes] = [await freePorts(3), await freePorts(3)]
  const stops = clients.map((client, index) => {
    const home = join(directory, `nats-${index}`)
    mkdirSync(home, { recursive: true })
    cpSync(join(ROOT, 'deploy', 'nats'), home, { recursive: true })
    const edit = (name: string, changes: readonly (readonly [string, string])[]): void => {
      const path = join(home, name)
      writeFileSync(
        path,
        changes.reduce((text, [from, to]) => replaced(text, from, to), readFileSync(path, 'utf8')),
      )
    }
    edit('tls.conf', [['/etc/blobs/tls', tls]])
    edit('nats.conf', [
      ['0.0.0.0:4222', `127.0.0.1:${client}`],
      ['0.0.0.0:6222', `127.0.0.1:${routes[index]}`],
      ['127.0.0.1:8222', '127.0.0.1:-1'],
    ])
    const env = {
      PATH: process.env['PATH'],
      NATS_NAME: `nats-${index}`,
      NATS_PASSWORD: password,
      NATS_STORE: join(home, 'store'),
      NATS_ROUTES: `[${routes.map((route) => `tls://localhost:${route}`).join(', ')}]`,
    }
    const child = spawn('nats-server', ['-c', join(home, 'nats.conf')], { env, stdio: 'ignore' })
    const ended = new Promise((resolve) => child.once('exit', resolve))
    return async (): Promise<void> => {
      child.kill('SIGKILL')
      await ended
    }
  })
  return {
    addresses: clients.map((port) => `localhost:${port}`),
    password,
    stop: async () => void (await Promise.all(stops.map((stop) => stop()))),
  }
}

function replaced(text: string, from: string, to: string): string {
  if (!text.includes(from)) throw new Error(`the configuration has no ${from}`)
  return text.replaceAll(from, to)
}
