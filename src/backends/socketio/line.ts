import { io } from 'socket.io-client'
import { isUntrusted } from '../../platform/network.ts'
import type { Clock } from '../../platform/ports.ts'
import { after } from '../../platform/timer.ts'
import { BlobsError } from '../../store/contract/errors.ts'

/** Milliseconds that a connection may take to come about. */
const CONNECT_LIMIT = 15_000

export interface LineOptions {
  /** `http://host:3000`, `https://…` */
  readonly origin: string
  /** In front of `/socket.io/`; '' or begins with a slash. */
  readonly path: string
  readonly token: string
  /** What is trusted, if not the usual. */
  readonly ca?: string[]
  readonly clock: Clock
  /** Milliseconds that an answer may take. */
  readonly answerLimit: number
}

/** A connection to the server. It has one reference at a time; what is asked is about that one. */
export interface Line {
  /** The reference that it has; null at first. */
  readonly ref: string | null
  /** Takes another reference, and is told of its changes from then on. Throws as `ask`. */
  select(ref: string): Promise<void>
  /**
   * What the server answers. Throws `Unavailable` when the connection ends, or nothing comes for too long: then it is not known whether
   * the server did it.
   */
  ask(event: 'get' | 'set', what: object): Promise<unknown>
  alive(): boolean
  /** Called for each change of the reference by others, and when the connection ends. */
  onNews(act: () => void): void
  close(): void
}

/** Throws `Unauthenticated` when the server does not take the token, `Unavailable` when there is no way to it. */
export async function openLine(options: LineOptions): Promise<Line> {
  const { origin, path, token, ca, clock, answerLimit } = options
  const socket = io(origin, {
    path: `${path}/socket.io/`,
    transports: ['websocket'],
    auth: { token },
    // What was under way when a connection ended is looked up, never sent again by itself.
    reconnection: false,
    forceNew: true,
    timeout: CONNECT_LIMIT,
    ...(ca === undefined ? {} : { ca }),
  })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('connect_error', (error) => {
      socket.close()
      reject(refusal(origin, error))
    })
  })
  const waiting = new Set<(error: BlobsError) => void>()
  let selected: string | null = null
  const failAll = (error: BlobsError): void => {
    for (const fail of waiting) fail(error)
    waiting.clear()
  }
  socket.on('disconnect', (reason) => failAll(lost(origin, `ended: ${reason}`)))
  const ask = (event: string, what: unknown): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (!socket.connected) return reject(lost(origin, 'has ended'))
      const calm = after(clock, answerLimit, () => {
        failAll(lost(origin, `gave no answer for ${answerLimit / 1000} s`))
        socket.close()
      })
      const fail = (error: BlobsError): void => {
        calm()
        reject(error)
      }
      waiting.add(fail)
      socket.emit(event, what, (answer: unknown) => {
        calm()
        waiting.delete(fail)
        resolve(answer)
      })
    })
  return {
    get ref() {
      return selected
    },
    select: async (ref) => {
      if (selected === ref) return
      selected = null
      checkAnswer(origin, await ask('ref', ref))
      selected = ref
    },
    // Never without an object: that would be the end of the server's process.
    ask: async (event, what) => checkAnswer(origin, await ask(event, what)),
    alive: () => socket.connected,
    onNews: (act) => {
      socket.on('changed', act)
      socket.on('disconnect', act)
    },
    close: () => void socket.close(),
  }
}

function checkAnswer(origin: string, answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null || !('error' in answer)) return answer
  throw new BlobsError('InvalidRequest', `the server at ${origin} refuses: ${String(answer.error)}`, {
    hint: 'is it a server of versioned blobs by Socket.IO?',
  })
}

function refusal(origin: string, error: Error): BlobsError {
  if (error.message === 'Access denied') {
    return new BlobsError('Unauthenticated', `the server at ${origin} does not take this token`, {
      cause: error,
      hint: 'a token for a bucket is made where the server is: npm run token BUCKET · give it by BLOBS_TOKEN or --token-file',
    })
  }
  // What the transport knows of a failure is deep in its error.
  const inner = 'description' in error && typeof error.description === 'object' ? error.description : null
  const cause = inner !== null && 'error' in inner && inner.error instanceof Error ? inner.error : error
  const code = 'code' in cause ? String(cause.code) : ''
  const text = cause.message || code
  if (isUntrusted(code)) {
    return new BlobsError('Refused', `the certificate of ${origin} is not trusted: ${text}`, {
      cause: error,
      hint: 'if it is yours, name it: --ca-cert FILE',
    })
  }
  return new BlobsError('Unavailable', `the server at ${origin} cannot be reached${text === '' ? '' : ` (${text})`}`, {
    cause: error,
    hint: 'does it run, and is it a Socket.IO server? it is tried again',
  })
}

function lost(origin: string, what: string): BlobsError {
  return new BlobsError('Unavailable', `the connection to ${origin} ${what}`, { hint: 'it is tried again' })
}
