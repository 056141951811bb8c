import { join } from 'node:path'
import type { Machine, Place, Running } from '../harness.ts'

const STARTING = 60_000

/** Several `blobs serve` over one cluster, each on a machine of its own. */
export interface Fronts {
  /** `127.0.0.1:port` of each. */
  readonly addresses: readonly string[]
  end(front: number, signal: NodeJS.Signals): Promise<void>
  signal(front: number, signal: NodeJS.Signals): void
  restart(front: number): Promise<void>
  /** More flags are those of `token create`. */
  token(bucket: string, ...flags: readonly string[]): Promise<string>
  pids(): readonly number[]
  dispose(): Promise<void>
}

interface FrontsOptions {
  readonly place: Place
  readonly backend: string
  readonly secret: string
  /** Three, unless given. */
  readonly count?: number
}

export async function startFronts({ place, backend, secret, count = 3 }: FrontsOptions): Promise<Fronts> {
  const env = { TOKEN_SECRET: secret, BLOBS_BACKEND: backend }
  const machines = Array.from({ length: count }, (_, index) => place.machine(`front-${index}`, env))
  const data = (machine: Machine): string => join(machine.home, 'data')
  const start = async (machine: Machine, port: string): Promise<{ process: Running; port: string }> => {
    const args = ['serve', '--json', '--log', '--drain', '1s', '--port', port, '--data', data(machine)]
    const process = machine.start(args)
    const { url } = await process.event('a server', ({ type }) => type === 'listening', STARTING)
    return { process, port: new URL(String(url)).port }
  }
  const running: { process: Running; port: string }[] = []
  // One after the other: each takes a core while it starts.
  for (const machine of machines) running.push(await start(machine, '0'))
  const of = <T>(all: readonly T[], index: number): T => {
    const one = all[index]
    if (one === undefined) throw new Error(`there is no server ${index}`)
    return one
  }
  return {
    addresses: running.map(({ port }) => `127.0.0.1:${port}`),
    end: async (front, signal) => void (await of(running, front).process.stop(signal)),
    signal: (front, signal) => of(running, front).process.kill(signal),
    restart: async (front) => {
      running[front] = await start(of(machines, front), of(running, front).port)
    },
    dispose: async () => void (await Promise.all(running.map(({ process }) => process.stop('SIGKILL')))),
    token: async (bucket, ...flags) => {
      const machine = of(machines, 0)
      return (await machine.must(['token', 'create', bucket, '--data', data(machine), '-q', ...flags])).out.trim()
    },
    pids: () => running.map(({ process }) => process.pid),
  }
}
