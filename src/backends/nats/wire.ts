import { connect, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import { authoritiesWith } from '../../platform/network.ts'
import type { Clock } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BackendContext } from '../../store/ports.ts'
import { findCredentials } from './credentials.ts'
import { told } from './failures.ts'
import type { NatsOptions } from './options.ts'
import { openRequests, type Requests } from './requests.ts'

const RECONNECT = 250
const OLDEST = [2, 9] as const

/** A connection, which comes back by itself. */
export interface Wire {
  readonly connection: NatsConnection
  /** Largest message with its headers, in bytes. */
  readonly maxPayload: number
  /** The server's name of its cluster; null for a single server. */
  readonly cluster: string | null
  readonly version: string
  readonly hasJetStream: boolean
  readonly ask: Requests['ask']
  /** Calls `heard` for each message; and with null when some may have been missed. Null: it is over. */
  listen(subject: string, heard: (headers: MsgHdrs | null) => void): () => void
  /** Resolves when the server knows what was listened to. */
  settled(): Promise<void>
  close(): Promise<void>
}

/** Connects. Throws `Unavailable`, `Unauthenticated`, `Refused`, and `NotSupported` for a server that is too old. */
export async function openWire(options: NatsOptions, context: BackendContext): Promise<Wire> {
  const { authenticator, revealed } = await findCredentials(options, context)
  const trusted = context.ca === undefined ? {} : { ca: (await authoritiesWith(context.ca)).join('\n') }
  const tls =
    options.tls === 'offered' && context.ca === undefined
      ? undefined
      : { ...trusted, handshakeFirst: options.tls === 'first' }
  let connection: NatsConnection
  try {
    connection = await connect({
      servers: [...options.servers],
      name: 'blobs',
      timeout: 5000,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT,
      reconnectJitter: RECONNECT,
      // One that is cut off tells nobody: after three of these it is given up, and another server asked.
      pingInterval: 2000,
      noAsyncTraces: true,
      ...(authenticator === null ? {} : { authenticator }),
      ...(tls === undefined ? {} : { tls }),
    })
  } catch (error) {
    throw told(options.text, error)
  }
  try {
    checkServer(connection, options)
  } catch (error) {
    await connection.close()
    throw error
  }
  if (revealed && !isPrivate(connection)) {
    context.warn(`the password or token travels to ${options.text} unencrypted: use ?tls=required, or NATS_CREDS`)
  }
  return overConnection(connection, options, context.clock)
}

function checkServer({ info }: NatsConnection, { text }: NatsOptions): void {
  const [major = 0, minor = 0] = (info?.version ?? '').split('.').map(Number)
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return
  throw new BlobsError('NotSupported', `${text} is nats-server ${info?.version}, which is too old`, {
    hint: `a server from ${OLDEST.join('.')} on is needed`,
  })
}

function isPrivate(connection: NatsConnection): boolean {
  const { info } = connection
  const secured = info?.tls_required === true || info?.tls_available === true
  return secured || /^(localhost|127(\.\d+){3}|\[?::1\]?)(:\d+)?$/.test(connection.getServer())
}

function overConnection(connection: NatsConnection, { text }: NatsOptions, clock: Clock): Wire {
  const { info } = connection
  const closing = new AbortController()
  const requests = openRequests(connection, { text, clock, closing: closing.signal })
  const returns = new Set<() => void>()
  void (async () => {
    for await (const status of connection.status()) {
      // What was sent in between is lost, too.
      if (status.type === 'disconnect' || status.type === 'reconnect') requests.giveUpAll('the connection broke')
      if (status.type === 'reconnect') for (const back of returns) back()
      if (status.type === 'error') requests.refused(status.error)
    }
  })()
  return {
    connection,
    maxPayload: info?.max_payload ?? 0,
    cluster: info?.cluster ?? null,
    version: info?.version ?? '',
    hasJetStream: info?.jetstream === true,
    ask: requests.ask,
    listen: (subject, heard) => {
      const back = (): void => heard(null)
      const callback = (error: Error | null, message: Msg): void => heard(error ? null : (message.headers ?? null))
      const subscription = connection.subscribe(subject, { callback })
      returns.add(back)
      return () => {
        returns.delete(back)
        subscription.unsubscribe()
      }
    },
    // Where it breaks meanwhile, what is listened to is told to the server first when it is back.
    settled: () => connection.flush().catch(() => undefined),
    close: async () => {
      closing.abort()
      requests.giveUpAll('it was closed')
      await connection.close()
    },
  }
}
