import { join } from 'node:path'
import type { Clock } from '../../platform/ports.ts'
import { openDatabase, sqliteProblem, type Database } from '../../platform/sqlite.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { connectControl } from './client.ts'
import { listen, removeSocket, type ControlServer, type Handler } from './server.ts'
import type { Hello } from './wire.ts'

/** The longest path that a unix socket can have everywhere. */
const LONGEST_SOCKET_PATH = 107
/** Another process may just be starting: its socket comes a moment after its lock. */
const PATIENCE = 2_000

export function socketPath(runtimeDirectory: string, rootId: string): string {
  const path = join(runtimeDirectory, `${rootId.slice(0, 20)}.sock`)
  if (Buffer.byteLength(path) <= LONGEST_SOCKET_PATH) return path
  throw new BlobsError(
    'Refused',
    `the control socket ${path} would be longer than the ${LONGEST_SOCKET_PATH} bytes that a system takes`,
    {
      hint: 'set XDG_RUNTIME_DIR to a shorter path',
    },
  )
}

export interface Taken {
  close(): Promise<void>
}
export interface LockOptions {
  /** This root's own. */
  readonly stateDirectory: string
  readonly socket: string
  readonly hello: Hello
  readonly handle: Handler
  readonly clock: Clock
}

/**
 * Takes a folder for this process: the listening socket is the lock that others see and ask. A lock of the system on a file beside it
 * decides who may replace a socket that a killed process left. Gives what the holder says when there is one.
 */
export async function takeFolder(options: LockOptions): Promise<Taken | { readonly holder: Hello | null }> {
  const start = options.clock.elapsed()
  for (;;) {
    const file = lockFile(join(options.stateDirectory, 'lock.db'))
    if (file !== null) return listenAlone(options, file)
    const holder = await whoHolds(options.socket)
    if (holder !== null || options.clock.elapsed() - start > PATIENCE) return { holder }
    await options.clock.sleep(50)
  }
}

/** Who listens on the socket, or null. */
async function whoHolds(socket: string): Promise<Hello | null> {
  const client = await connectControl(socket)
  await client?.close()
  return client?.hello ?? null
}

async function listenAlone(options: LockOptions, file: Database): Promise<Taken | { readonly holder: Hello | null }> {
  try {
    const server = await listenAfresh(options)
    if ('holder' in server) {
      file.close()
      return server
    }
    return {
      close: async () => {
        await server.close()
        file.close()
      },
    }
  } catch (error) {
    file.close()
    throw error
  }
}

async function listenAfresh(options: LockOptions): Promise<ControlServer | { readonly holder: Hello }> {
  try {
    return await listen(options.socket, options.hello, options.handle)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
  }
  // Someone with another state directory, or nobody any more.
  const holder = await whoHolds(options.socket)
  if (holder !== null) return { holder }
  removeSocket(options.socket)
  return listen(options.socket, options.hello, options.handle)
}

/** Holds a write transaction open, which ends with the process whatever happens to it; null if another process does. */
function lockFile(path: string): Database | null {
  let db: Database | null = null
  try {
    db = openDatabase(path, { synchronous: 'normal' })
    db.exec('BEGIN IMMEDIATE')
    return db
  } catch (error) {
    db?.close()
    if (sqliteProblem(error) === 'busy') return null
    throw error
  }
}
