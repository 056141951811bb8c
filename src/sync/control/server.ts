import { chmodSync, unlinkSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { isBlobsError } from '../../store/contract/errors.ts'
import { onLines, sendLine, type Hello, type Request, type Response } from './wire.ts'

export type Handler = (method: string, params: Readonly<Record<string, unknown>>) => Promise<unknown>

export interface ControlServer {
  close(): Promise<void>
}

/** Listens on a unix socket that only this user may connect to. Throws EADDRINUSE when there is something at the path. */
export async function listen(path: string, hello: Hello, handle: Handler): Promise<ControlServer> {
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    // A client that goes away in the middle is no trouble of ours.
    socket.on('error', () => socket.destroy())
    sendLine(socket, hello)
    onLines(socket, (line) => void answer(socket, line, handle))
  })
  await listening(server, path)
  chmodSync(path, 0o600)
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve())
      })
      for (const socket of open) socket.destroy()
      await closed
    },
  }
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function answer(socket: Socket, line: unknown, handle: Handler): Promise<void> {
  if (!isRequest(line)) {
    socket.destroy()
    return
  }
  sendLine(socket, await respond(line, handle))
}

async function respond({ id, method, params }: Request, handle: Handler): Promise<Response> {
  try {
    return { id, result: (await handle(method, params)) ?? null }
  } catch (error) {
    const code = isBlobsError(error) ? error.code : 'Unknown'
    const message = error instanceof Error ? error.message : String(error)
    const hint = isBlobsError(error) && error.hint !== undefined ? { hint: error.hint } : {}
    return { id, error: { code, message, ...hint } }
  }
}

function isRequest(value: unknown): value is Request {
  const { id, method, params } = Object(value) as Record<string, unknown>
  return typeof id === 'number' && typeof method === 'string' && typeof params === 'object' && params !== null
}

/** Removes a socket that nobody listens on any more. */
export function removeSocket(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
