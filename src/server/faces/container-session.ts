import type { FastifyReply } from 'fastify'
import type { Grant } from '../../access/grant.ts'
import { isOwnAddress, openTries } from '../../access/tries.ts'
import { mintUserToken, userGrant, type UserToken, verifyUserToken } from '../../access/user-tokens.ts'
import type { Lease } from '../../access/leases.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { isLocal } from '../local.ts'
import { sendJson } from '../call.ts'
import { openShares } from '../shares.ts'
import { underGrant } from '../v1.ts'
import { digest, type NewUser, type User, type Users } from './container-users.ts'
import type { Ask } from './face.ts'
import type { FaceContext } from './faces.ts'

/** Milliseconds that a token lasts. */
const LASTS = 30 * 60_000
const MINUTE = 60_000
/** Milliseconds within which every server knows what was revoked. */
const KNOWN = 1000
/** Sign-ups in a minute, from one address and from all. */
const SIGN_UPS = 10
const ALL_SIGN_UPS = 60

/** One request of a user who showed a good token. */
export interface Session {
  readonly user: User
  readonly grant: Grant
  readonly lease: Lease
}

/** Lets users in and out. */
export interface Sessions {
  signUp(ask: Ask, fields: Fields): Promise<FastifyReply>
  logIn(ask: Ask, fields: Fields): Promise<FastifyReply>
  logOut(ask: Ask, session: Session): Promise<FastifyReply>
  /** Acts for the user whose token came. Throws `Unauthenticated` in the words of the original. */
  enter(ask: Ask, act: (session: Session) => Promise<FastifyReply>): Promise<FastifyReply>
  /** Whose good token came; null when none came at all. */
  who(ask: Ask): Promise<User | null>
}

export type Fields = Readonly<Record<string, unknown>>

interface SessionsOptions extends Pick<FaceContext, 'context'> {
  readonly own: NonNullable<FaceContext['own']>
  readonly users: Users
  readonly signUp: 'this machine' | 'anybody'
}

export function openSessions({ context, own, users, signUp }: SessionsOptions): Sessions {
  const { gate, desk, clock, now, newId, bounds, audit } = context
  const elapsed = (): number => clock.elapsed()
  const wrong = openTries({ most: bounds.badTokens, window: bounds.badTokensWindow, elapsed })
  const signUps = openTries({ most: SIGN_UPS, window: MINUTE, elapsed })
  const allSignUps = openTries({ most: ALL_SIGN_UPS, window: MINUTE, elapsed })
  // Each ends in a record that stays.
  const comings = openShares({ most: 16, perSecond: 0.5, burst: 60, now })
  const told = (ask: Ask, action: string, user: User | null, result: string): void =>
    audit.write(
      { grant: user === null ? null : { id: `user ${user.id}`, name: user.name }, address: addressOf(ask), ms: 0 },
      [{ action, result }],
    )
  const find = async (ask: Ask): Promise<{ readonly user: User; readonly token: UserToken } | null> => {
    const { authorization } = ask.request.headers
    if (authorization === undefined) return null
    const shown = /^Bearer +(\S+) *$/i.exec(authorization)?.[1]
    if (shown === undefined) throw refused('Invalid token')
    const token = await verifyUserToken(shown, await own.secrets(), now())
    if (token === 'expired') throw refused('Token has expired')
    if (typeof token === 'string') throw refused('Token is invalid')
    const lease = gate.lease(userGrant(token, '', ''))
    lease.release()
    if (lease.signal.aborted) throw refused("You're logged out.")
    const user = await users.find(token.user)
    if (user === null) throw refused('Token is invalid')
    return { user, token }
  }
  return {
    signUp: async (ask, fields) => {
      if (signUp === 'this machine' && !isFromHere(ask)) {
        throw new BlobsError('Forbidden', 'users sign up on the machine of the server')
      }
      const user = readUser(ask, fields)
      if (user === null) return ask.reply
      const address = addressOf(ask)
      const wait = Math.max(signUps.waitOf(address), allSignUps.waitOf(''))
      if (wait > 0) throw new BlobsError('Unavailable', 'too many users sign up', { retryAfter: wait })
      signUps.count(address)
      allSignUps.count('')
      const made = await users.add(user)
      told(ask, 'signup', made, made === null ? 'AlreadyExists' : 'ok')
      if (made === null) return fail(ask, 500, { error: 'Error writing to database' }, 'AlreadyExists')
      return sendJson(ask.reply, { status: 'success' }, 201)
    },
    logIn: async (ask, fields) => {
      const user = readUser(ask, fields)
      if (user === null) return ask.reply
      // From this machine's own address a proxy may speak for everybody: there, each name has tries of its own.
      const address = addressOf(ask)
      const from = isOwnAddress(address) ? `name ${digest(`${user.username}\n${user.email}`)}` : address
      const wait = wrong.waitOf(from)
      if (wait > 0) throw new BlobsError('Unavailable', 'too many wrong passwords', { retryAfter: wait })
      const found = await users.check(user)
      if (found === null) wrong.count(from)
      told(ask, 'login', found, found === null ? 'Unauthenticated' : 'ok')
      if (found === null) {
        return fail(ask, 401, { message: 'Invalid username or password', status: 'failure' }, 'Unauthenticated')
      }
      comings.enter(String(found.id))()
      const issued = now()
      const made = { user: found.id, id: newId(), issued, expires: issued + LASTS }
      const token = await mintUserToken(made, await own.secrets())
      ask.reply.header('cache-control', 'no-store')
      return sendJson(ask.reply, { status: 'success', token })
    },
    logOut: async (ask, { grant, lease }) => {
      await desk.revoke({ ids: [grant.id] }, grant.id)
      // It is told when the gate knows.
      await clock.sleep(KNOWN, lease.signal)
      return sendJson(ask.reply, { status: 'success' })
    },
    enter: async (ask, act) => {
      const found = await find(ask)
      if (found === null) throw refused('Token is missing')
      const { user, token } = found
      const grant = userGrant(token, user.name, '')
      ask.trail.grant = grant
      return underGrant(context, grant, ask.reply, (lease) => act({ user, grant, lease }))
    },
    who: async (ask) => (await find(ask))?.user ?? null,
  }
}

/** What was refused, as clients of the original know it. */
export function fail({ reply, note }: Ask, status: number, body: object, code: string): FastifyReply {
  if (status >= 500) note(new Error(`${code}: ${JSON.stringify(body)}`))
  return sendJson(reply.header('x-blobs-code', code), body, status)
}

/** Null when a field is missing, which was answered then. */
function readUser(ask: Ask, fields: Fields): NewUser | null {
  for (const name of ['username', 'email', 'password'] as const) {
    if (typeof fields[name] === 'string') continue
    fail(ask, 500, { error: `'${name}'` }, 'InvalidRequest')
    return null
  }
  return fields as unknown as NewUser
}

/** Whether a program on this machine asks, or a page that was loaded from it. */
function isFromHere({ request }: Ask): boolean {
  const { origin } = request.headers
  return (
    isLocal(request) && (origin === undefined || /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i.test(origin))
  )
}

function addressOf({ request }: Ask): string {
  return request.socket.remoteAddress ?? ''
}

function refused(message: string): BlobsError {
  return new BlobsError('Unauthenticated', message)
}
