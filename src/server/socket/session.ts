import type { Socket } from 'socket.io'
import { mayRead, mayWrite } from '../../access/grant.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { forbid, type Scene } from '../call.ts'
import { getBlob, setBlob } from './blob.ts'
import { cut, isFull } from './connection.ts'
import type { Follower, Followers } from './followers.ts'
import { type Hold, openLine } from './line.ts'
import { readData, readObject, readRef, readVersion } from './values.ts'

/** One event that a client sent, and that was answered. */
interface SocketEvent {
  readonly name: string
  /** What the connection is about. */
  readonly ref: string | null
  readonly ms: number
  /** Why the answer is an error; null when it is none. */
  readonly error: unknown
  /** The version that was told of; null when there is none. */
  readonly version: number | null
  /** False when another version stood there than the one to be replaced. */
  readonly made: boolean
}

interface SessionOptions {
  /** Where it may act; the lease ends with the connection. */
  readonly scene: Scene
  readonly followers: Followers
  readonly onEvent: (event: SocketEvent) => void
}

interface Session {
  /** Takes no more events and tells no more changes; resolves when the event under way is answered. */
  close(): Promise<void>
}

const NOTHING = { version: null, made: true } as const

/** Serves one connection of the protocol of seed 000, one event after the other. */
export function openSession(socket: Socket, { scene, followers, onEvent }: SessionOptions): Session {
  const { context, grant, bucket } = scene
  const own = openOwn()
  let last: Pick<SocketEvent, 'version' | 'made'> = NOTHING
  const onAnswer = (event: Pick<SocketEvent, 'name' | 'ms' | 'error'>): void => {
    onEvent({ ...event, ...last, ref: pointer.ref() })
    last = NOTHING
  }
  const line = openLine({ socket, context, grant, onAnswer })
  const pointer = openPointer(scene, followers, {
    changed: (entry) => {
      if (line.isClosed() || (entry !== null && own.take(entry))) return
      if (isFull(socket.conn)) cut(socket.conn)
      else socket.emit('changed')
    },
  })
  const point = async (value: unknown): Promise<readonly []> => {
    await pointer.point(readRef(value))
    return []
  }
  const get = async (value: unknown, hold: Hold): Promise<readonly [unknown]> => {
    const { known } = readObject(value)
    const answer = await getBlob(scene, { key: pointer.key(), known: readVersion(known), hold })
    last = { version: answer?.version ?? null, made: true }
    return [answer]
  }
  const set = async (value: unknown, hold: Hold): Promise<readonly [unknown]> => {
    const { data, version } = readObject(value)
    const setting = { key: pointer.key(), bytes: readData(data), version: readVersion(version) }
    const answer = await setBlob(scene, { ...setting, hold, onEntry: own.add, onVoid: own.take })
    last = { version: answer.version, made: answer.success }
    followers.look(bucket)
    return [answer]
  }
  socket.on('now', (ack: unknown) => line.add({ name: 'now', ack, act: async () => [{ timestamp: context.now() }] }))
  socket.on('ref', (ref: unknown, ack: unknown) => line.add({ name: 'ref', ack, act: () => point(ref) }))
  socket.on('get', (value: unknown, ack: unknown) => line.add({ name: 'get', ack, act: (hold) => get(value, hold) }))
  socket.on('set', (value: unknown, ack: unknown) =>
    line.add({ name: 'set', ack, bytes: sizeOf(value), act: (hold) => set(value, hold) }),
  )
  const close = (): Promise<void> => {
    const closed = line.close()
    pointer.close()
    return closed
  }
  socket.on('disconnect', () => void close())
  return { close }
}

/** What a connection is about: one key, or none. */
interface Pointer {
  ref(): string | null
  /** Throws `InvalidRequest` when it is about none. */
  key(): string
  /** From when it resolves, the follower is told of changes of this one, if the token may read it. Throws `Forbidden`. */
  point(ref: string | null): Promise<void>
  close(): void
}

function openPointer({ grant, bucket }: Scene, followers: Followers, follower: Follower): Pointer {
  let current: string | null = null
  let stop: () => void = () => undefined
  let closed = false
  return {
    ref: () => current,
    key: () => {
      if (current !== null) return current
      throw new BlobsError('InvalidRequest', 'Reference is not provided')
    },
    point: async (ref) => {
      const reads = ref !== null && mayRead(grant, bucket, ref)
      if (ref !== null && !reads && !mayWrite(grant, bucket, ref)) forbid({ grant, bucket }, `read ${bucket}/${ref}`)
      stop()
      current = ref
      stop = reads ? await followers.follow(bucket, ref, follower) : () => undefined
      if (closed) stop()
    },
    close: () => {
      closed = true
      stop()
    },
  }
}

/** Entries of its own that a client was not told of yet: they are no news to it. */
const OWN = 100

function openOwn(): { add(id: string): void; take(id: string): boolean } {
  const ids = new Set<string>()
  return {
    add: (id) => {
      const [oldest] = ids
      if (ids.size >= OWN && oldest !== undefined) ids.delete(oldest)
      ids.add(id)
    },
    take: (id) => ids.delete(id),
  }
}

/** Bytes that the data of a `set` takes in memory, as text and as what it says. */
function sizeOf(value: unknown): number {
  const data = typeof value === 'object' && value !== null && 'data' in value ? value.data : null
  return typeof data === 'string' ? data.length * 2 : 0
}
