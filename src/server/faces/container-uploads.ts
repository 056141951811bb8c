import { randomUUID } from 'node:crypto'
import { BlobsError } from '../../store/contract/errors.ts'
import { openSpool, type Spool } from './spool.ts'

const MiB = 1024 * 1024
/** Bytes of a chunk unless the client says another number, and at most. */
export const CHUNK = MiB
export const MAX_CHUNK = 16 * MiB
/** Bytes of a blob: the original counts them in 31 bits. */
export const MAX_SIZE = 2 ** 31 - 1
export const MAX_CHUNKS = 10_000
/** Uploads under way of one user, and of all. */
const PER_USER = 64
const IN_ALL = 512
/** Milliseconds without a part after which an upload is given up. */
const IDLE = 60 * 60_000
/** Uploads that are over, which may be completed once more without anything happening. */
const REMEMBERED = 10_000

interface UploadPlan {
  readonly user: number
  readonly container: string
  readonly bucket: string
  readonly key: string
  readonly size: number
  readonly chunk: number
}

/** A blob whose parts come one by one. */
export interface Upload extends UploadPlan {
  /** Unguessable: who knows it may send parts. */
  readonly id: string
  /** Throws `InvalidRequest` for a part that is none of it, or has another size than it should. */
  add(part: number, bytes: Uint8Array): Promise<void>
  /** All of it in order. Throws `InvalidRequest` while parts are missing. */
  read(): AsyncIterable<Uint8Array>
}

/** Uploads under way; they end with the process. */
export interface Uploads {
  begin(plan: UploadPlan): Upload
  find(id: string): Upload | null
  of(user: number, bucket: string): readonly Upload[]
  /** Whether this user's upload is over, and its blob there. */
  isDone(id: string, user: number): boolean
  /** Runs `act` once for all who ask for it at the same time; the upload is over when it succeeds. */
  complete(upload: Upload, act: () => Promise<void>): Promise<void>
  drop(upload: Upload): Promise<void>
  close(): Promise<void>
}

type Held = Upload & { touched: number; completing: Promise<void> | null; close(): Promise<void> }

/** `now` in milliseconds that only go forward. */
export function openUploads(directory: string, now: () => number): Uploads {
  const held = new Map<string, Held>()
  const done = new Map<string, number>()
  const drop = async ({ id }: Pick<Upload, 'id'>): Promise<void> => {
    const one = held.get(id)
    held.delete(id)
    await one?.close()
  }
  const trim = (user: number): void => {
    for (const one of held.values()) if (one.completing === null && now() - one.touched > IDLE) void drop(one)
    const own = [...held.values()].filter((one) => one.user === user)
    if (own.length < PER_USER && held.size < IN_ALL) return
    throw new BlobsError('Unavailable', 'too many uploads are under way', { retryAfter: 1000, hint: 'complete some' })
  }
  return {
    begin: (plan) => {
      trim(plan.user)
      const one = openUpload(plan, directory, now)
      held.set(one.id, one)
      return one
    },
    find: (id) => held.get(id) ?? null,
    of: (user, bucket) => [...held.values()].filter((one) => one.user === user && one.bucket === bucket),
    isDone: (id, user) => done.get(id) === user,
    complete: async ({ id, user }, act) => {
      const one = held.get(id)
      if (one === undefined) return
      one.completing ??= act().finally(() => (one.completing = null))
      await one.completing
      done.set(id, user)
      const [oldest] = done.keys()
      if (done.size > REMEMBERED && oldest !== undefined) done.delete(oldest)
      await drop(one)
    },
    drop,
    close: async () => {
      await Promise.all([...held.values()].map(drop))
    },
  }
}

function openUpload(plan: UploadPlan, directory: string, now: () => number): Held {
  const { size, chunk } = plan
  const id = randomUUID()
  const count = Math.ceil(size / chunk)
  const there = new Set<number>()
  let spool: Promise<Spool> | null = null
  let closed = false
  const open = (): Promise<Spool> => {
    if (closed) throw new BlobsError('NotFound', 'Upload not found', { key: plan.key })
    return (spool ??= openSpool(directory, id))
  }
  const upload: Held = {
    ...plan,
    id,
    touched: now(),
    completing: null,
    add: async (part, bytes) => {
      if (!Number.isInteger(part) || part < 0 || part >= count) throw bad(`part_number is not from 0 to ${count - 1}`)
      const wanted = Math.min(chunk, size - part * chunk)
      if (bytes.length !== wanted) throw bad(`part ${part} has ${bytes.length} bytes and should have ${wanted}`)
      if (upload.completing !== null) throw bad('the upload is being completed')
      upload.touched = now()
      await (await open()).write(bytes, part * chunk)
      there.add(part)
    },
    read: async function* () {
      if (there.size < count) throw bad(`${count - there.size} of ${count} parts are missing`)
      if (size > 0) yield* (await open()).read(0, size)
    },
    close: async () => {
      closed = true
      await (await spool)?.close()
    },
  }
  return upload
}

function bad(message: string): BlobsError {
  return new BlobsError('InvalidRequest', message)
}
