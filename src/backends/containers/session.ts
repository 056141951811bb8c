import { BlobsError } from '../../store/contract/errors.ts'
import { readAnswer, type Answer, type Http, type Request } from './http.ts'

const HOW = 'give BLOBS_USER and BLOBS_PASSWORD, or a token of the server as BLOBS_TOKEN'

export interface Credentials {
  /** A token of the server that was given, or null. */
  token(): Promise<string | null>
  /** A user name, or an e-mail address. */
  readonly user: string | undefined
  readonly password: string | undefined
}
/** What the server answered: `value` is null unless it is JSON. */
interface Reply {
  readonly status: number
  readonly value: unknown
}
/** Requests of a user who is signed in, and signed in again when the token is no longer good. */
export interface Session {
  /** The answer to a request that needs no more than a good token. Throws `Unauthenticated`. */
  send(request: Omit<Request, 'token'>): Promise<Answer>
  /** The same, read as JSON. */
  ask(method: Request['method'], path: string, body?: unknown): Promise<Reply>
}

export function openSession(http: Http, credentials: Credentials): Session {
  let token: Promise<string> | null = null
  const current = (): Promise<string> => (token ??= firstToken(http, credentials))
  const renew = (used: Promise<string>): void => {
    if (token === used) token = signIn(http, credentials)
  }
  const send = async (request: Omit<Request, 'token'>): Promise<Answer> => {
    for (let tries = 0; ; tries++) {
      const used = current()
      used.catch(() => {
        if (token === used) token = null
      })
      const answer = await http.send({ ...request, token: await used })
      if (answer.status !== 401) return answer
      const { error } = fieldsOf(parse(await readAnswer(answer)))
      if (tries > 0) throw refused(textOf(error))
      if (credentials.user === undefined || credentials.password === undefined) throw refused(textOf(error))
      renew(used)
    }
  }
  return {
    send,
    ask: async (method, path, body) => {
      const pieces = body === undefined ? undefined : [Buffer.from(JSON.stringify(body))]
      const answer = await send({
        method,
        path,
        ...(pieces === undefined ? {} : { body: { type: 'application/json', pieces } }),
      })
      return { status: answer.status, value: parse(await readAnswer(answer)) }
    },
  }
}

async function firstToken(http: Http, credentials: Credentials): Promise<string> {
  return (await credentials.token()) ?? signIn(http, credentials)
}

async function signIn(http: Http, { user, password }: Credentials): Promise<string> {
  if (user === undefined || password === undefined) {
    throw new BlobsError('Unauthenticated', 'the server wants to know who asks', { hint: HOW })
  }
  // Either of the two names may be the right one.
  const body = JSON.stringify({ username: user, email: user, password })
  const answer = await http.send({
    method: 'POST',
    path: '/login',
    body: { type: 'application/json', pieces: [Buffer.from(body)] },
  })
  const { token } = fieldsOf(parse(await readAnswer(answer)))
  if (answer.status === 200 && typeof token === 'string' && /^[\w.~+/=-]+$/.test(token)) return token
  if (answer.status === 401) throw refused('user name or password are wrong')
  throw unexpected('sign in', answer.status, null)
}

function refused(why: string): BlobsError {
  return new BlobsError('Unauthenticated', `the server does not let you in: ${why}`, { hint: HOW })
}

/** Of an answer that is not the one that should have come. */
export function unexpected(what: string, status: number, value: unknown): BlobsError {
  const { error } = fieldsOf(value)
  const said = typeof error === 'string' && error !== '' ? `: ${textOf(error)}` : ''
  const message = `the server cannot ${what} (${status}${said})`
  if (status === 413) {
    return new BlobsError('TooLarge', `cannot ${what}: something before the server takes no request of 1 MiB (413)`, {
      hint: "name the server's own port, 8080, not that of the load balancer; or raise client_max_body_size there",
    })
  }
  if (status < 500 && status !== 408 && status !== 429) {
    return new BlobsError('NotSupported', message, {
      hint: 'is that the front end of a blob store with containers? its usual port is 8080',
    })
  }
  return new BlobsError('Unavailable', message, {
    hint: 'are its parts all running: manager, database, data nodes (which must be in the table data_nodes)?',
  })
}

export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function textOf(error: unknown): string {
  return typeof error === 'string' ? error.slice(0, 200) : 'it does not say why'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
