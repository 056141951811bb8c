import { createServer, request as open, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { openHttpBuckets } from '../../src/store/http/buckets.ts'
import { running } from '../server/running.ts'

/** Answers a request in the server's place, or gives false to let it through. */
type Interposed = (request: IncomingMessage, response: ServerResponse) => boolean

/** A real server, and one before it that may answer in its place: what a store over HTTP meets on its way. */
export interface Interposer {
  readonly store: BlobStore
  /** The bucket behind it all. */
  readonly behind: BlobStore
  readonly requests: { readonly line: string; readonly at: number }[]
  answer: Interposed
  close(): Promise<void>
}

export async function interposed(): Promise<Interposer> {
  const real = await running()
  await real.buckets.create('team')
  const requests: { line: string; at: number }[] = []
  let answer: Interposed = () => false
  const server = createServer((request, response) => {
    requests.push({ line: `${request.method} ${request.url}`, at: performance.now() })
    if (answer(request, response)) return
    const { hostname, port } = new URL(real.url)
    const { method, url, headers } = request
    const onward = open(
      { hostname, port, path: url ?? '/', method: method ?? 'GET', headers, agent: false },
      (reply) => {
        response.writeHead(reply.statusCode ?? 500, reply.headers)
        reply.pipe(response)
        reply.on('error', () => response.destroy())
      },
    )
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    request.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const buckets = await openHttpBuckets({ origin, token: await real.token({}) })
  const [store, behind] = [await buckets.open('team'), await real.buckets.open('team')]
  return {
    store,
    behind,
    requests,
    set answer(next: Interposed) {
      answer = next
    },
    get answer() {
      return answer
    },
    close: async () => {
      await store.close()
      await buckets.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
      await behind.close()
      await real[Symbol.asyncDispose]()
    },
  }
}
