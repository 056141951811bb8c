/** A server of ours with an empty store, and machines that may write to it. */
import { join } from 'node:path'
import { makeToken, startServer, type Machine, type Server } from '../scripts/harness.ts'
import type { Bench } from './bench.ts'
import { remove } from './data.ts'

export interface Served {
  readonly server: Server
  /** A machine with the token of all buckets. */
  client(name: string, env?: Record<string, string>): Machine
  readonly token: string
  stop(): Promise<void>
}

export async function serve(bench: Bench, name = 'server'): Promise<Served> {
  const host = bench.machine(name)
  const server = await startServer(host)
  const token = await makeToken(host, server, '*')
  return {
    server,
    token,
    client: (client, env = {}) => bench.machine(client, { BLOBS_TOKEN_FILE: token, BLOBS_SERVER: server.url, ...env }),
    stop: async () => {
      await server.process.stop()
      remove(join(host.home))
    },
  }
}
