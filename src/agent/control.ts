import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { makePrivate, type Directories } from '../platform/directories.ts'
import type { Clock } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { connectControl } from '../sync/control/client.ts'
import { socketPath, takeFolder, type Taken } from '../sync/control/lock.ts'
import type { FolderReport } from './keeper.ts'
import { agentDirectory } from './registry.ts'

/** What a running background agent can be asked. */
export interface HostClient {
  readonly pid: number
  folders(): Promise<readonly FolderReport[]>
  /** Resolves when what is in the registry now is followed. */
  reload(): Promise<void>
  /** Resolves when it has taken note; it ends soon after. */
  stop(): Promise<void>
  close(): Promise<void>
}
export interface Handlers {
  readonly folders: () => readonly FolderReport[]
  readonly reload: () => Promise<void>
  readonly stop: () => void
}

type Where = Pick<Directories, 'state' | 'runtime'>

/** Makes this process the background agent. Throws `Refused`, naming the pid, when another one is. */
export async function takeHost(where: Where, handlers: Handlers, clock: Clock): Promise<Taken> {
  makePrivate(where.runtime)
  const taken = await takeFolder({
    stateDirectory: makePrivate(agentDirectory(where.state)),
    socket: hostSocket(where),
    hello: { pid: process.pid, folder: '', dev: '', ino: '' },
    handle: async (method) => {
      switch (method) {
        case 'folders':
          return handlers.folders()
        case 'reload':
          return handlers.reload()
        case 'stop':
          return handlers.stop()
        default:
          throw new BlobsError('NotSupported', `the background agent does not know ${method}`, {
            hint: 'it may be of another version: blobs agent stop, then blobs agent start',
          })
      }
    },
    clock,
  })
  if (!('holder' in taken)) return taken
  const who = taken.holder === null ? 'another process' : `the process with pid ${taken.holder.pid}`
  throw new BlobsError('Refused', `the background agent runs already: ${who}`, { hint: 'see it: blobs agent status' })
}

/** The background agent of these directories, or null if it does not run. */
export async function askHost(where: Where): Promise<HostClient | null> {
  const control = await connectControl(hostSocket(where))
  if (control === null) return null
  return {
    pid: control.hello.pid,
    // The answers are made by this very program: the types on both sides are the same.
    folders: () => control.call('folders') as Promise<readonly FolderReport[]>,
    reload: async () => void (await control.call('reload')),
    stop: async () => void (await control.call('stop')),
    close: () => control.close(),
  }
}

/** It finishes what it has in hand, in milliseconds at most. */
const LONGEST_END = 40_000

/** Stops the background agent and waits for its end; its pid, or null if none ran. Throws `Unavailable` when it does not come to its end. */
export async function endHost(where: Where, clock: Clock, signal: AbortSignal): Promise<number | null> {
  const host = await askHost(where)
  if (host === null) return null
  const { pid } = host
  await host.stop()
  await host.close()
  const started = clock.elapsed()
  for (;;) {
    const still = await askHost(where)
    if (still === null) return pid
    await still.close()
    if (clock.elapsed() - started > LONGEST_END) {
      throw new BlobsError('Unavailable', `the background agent (pid ${pid}) does not come to its end`, {
        hint: `end it: kill ${pid}`,
      })
    }
    await clock.sleep(100, signal)
    signal.throwIfAborted()
  }
}

/** One for each state directory: several may share a place for sockets. */
function hostSocket({ state, runtime }: Where): string {
  return socketPath(runtime, `agent-${createHash('sha256').update(join(state)).digest('hex').slice(0, 14)}`)
}
