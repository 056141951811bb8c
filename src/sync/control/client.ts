import { connect, type Socket } from 'node:net'
import { BlobsError, type ErrorCode } from '../../store/contract/errors.ts'
import { onLines, sendLine, type Hello, type Response } from './wire.ts'

export interface ControlClient {
  readonly hello: Hello
  /** Throws the agent's error; `Unavailable` when the agent goes away. */
  call(method: string, params?: Readonly<Record<string, unknown>>): Promise<unknown>
  close(): Promise<void>
}

/** A socket that accepts but says nothing for so long belongs to no agent that can be asked. */
const HELLO_PATIENCE = 5_000

/** Connects to the agent at a socket; null if nobody listens there. */
export async function connectControl(path: string): Promise<ControlClient | null> {
  const socket = await connected(path)
  if (socket === null) return null
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>()
  let greet: (hello: Hello | null) => void = () => undefined
  const greeted = new Promise<Hello | null>((resolve) => {
    greet = resolve
  })
  let said = false
  onLines(socket, (line) => {
    if (!said) {
      said = true
      greet(line as Hello)
      return
    }
    const response = line as Response
    const call = waiting.get(response.id)
    waiting.delete(response.id)
    if ('error' in response) call?.reject(errorOf(response.error))
    else call?.resolve(response.result)
  })
  const gone = (): void => {
    greet(null)
    for (const call of waiting.values())
      call.reject(new BlobsError('Unavailable', 'the agent of this folder went away'))
    waiting.clear()
  }
  socket.on('close', gone)
  socket.on('error', gone)
  const timer = setTimeout(() => socket.destroy(), HELLO_PATIENCE)
  const hello = await greeted
  clearTimeout(timer)
  if (hello === null) return null
  let last = 0
  return {
    hello,
    call: (method, params = {}) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) {
          reject(new BlobsError('Unavailable', 'the agent of this folder went away'))
          return
        }
        const id = ++last
        waiting.set(id, { resolve, reject })
        sendLine(socket, { id, method, params })
      }),
    close: async () => {
      socket.destroy()
    },
  }
}

async function connected(path: string): Promise<Socket | null> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.removeAllListeners('error')
      resolve(socket)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(null)
      else
        reject(
          new BlobsError('Refused', `the agent's socket ${path} cannot be used: ${error.message}`, { cause: error }),
        )
    })
  })
}

function errorOf(error: { readonly code: string; readonly message: string; readonly hint?: string }): Error {
  if (error.code === 'Unknown') return new Error(error.message)
  // The other side only ever sends codes of ours.
  return new BlobsError(error.code as ErrorCode, error.message, error.hint === undefined ? {} : { hint: error.hint })
}
