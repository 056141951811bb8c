import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { readRecord, writeTogether } from '../../access/system.ts'
import { isName } from '../../access/tokens.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'

/** A user as others may know of him. */
export interface User {
  readonly id: number
  readonly name: string
}

export interface NewUser {
  readonly username: string
  readonly email: string
  readonly password: string
}

/** Users of the face `containers`, in the reserved bucket, where every process that serves the place finds them. */
export interface Users {
  /** Null when somebody has the name or the address already, or one of them cannot be one. */
  add(user: NewUser): Promise<User | null>
  /** The one whose name or address it is, if it is his password. Takes as long for one who is not there. */
  check(user: NewUser): Promise<User | null>
  find(id: number): Promise<User | null>
}

export const ROOM = 'containers/'
const FORMAT = 1
const ATTEMPTS = 8
const MAX_EMAIL = 320
const MAX_PASSWORD = 1024

export function openUsers(store: BlobStore, newId: () => string, now: () => number): Users {
  const keyOf = (id: number): string => `${ROOM}users/${id}`
  const find = async (id: number): Promise<Kept | null> => decode((await readRecord(store, keyOf(id)))?.value)
  const owner = async (key: string): Promise<Kept | null> => {
    const { id } = ((await readRecord(store, key))?.value ?? {}) as { readonly id?: unknown }
    return typeof id === 'number' ? find(id) : null
  }
  const hashing = openHashing()
  return {
    add: async ({ username, email, password }) => {
      if (!isPlain(username) || !isPlain(email) || email.length > MAX_EMAIL || isTooLong(password)) return null
      const names = [nameKey(username), emailKey(email)]
      const isTaken = async (): Promise<boolean> =>
        (await Promise.all(names.map((key) => readRecord(store, key)))).some((found) => found !== null)
      if (await isTaken()) return null
      const hash = await hashing.hash(password, randomBytes(16))
      const counter = `${ROOM}last-user`
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const last = await readRecord(store, counter)
        const id = (last?.version ?? 0) + 1
        const created = new Date(now()).toISOString()
        const record = { v: FORMAT, id, username, email, password: hash, created }
        const made = [
          { key: counter, value: {}, expect: last === null ? ('absent' as const) : { version: last.version } },
          { key: keyOf(id), value: record, expect: 'absent' as const },
          ...names.map((key) => ({ key, value: { v: FORMAT, id }, expect: 'absent' as const })),
        ]
        if (await writeTogether(store, made, newId)) return { id, name: username }
        if (await isTaken()) return null
      }
      throw new BlobsError('Unavailable', 'too many sign up at once', { retryAfter: 1000 })
    },
    check: async ({ username, email, password }) => {
      if (isTooLong(password)) return null
      const keys = [...(username === '' ? [] : [nameKey(username)]), ...(email === '' ? [] : [emailKey(email)])]
      const found = (await Promise.all(keys.map(owner))).filter((one) => one !== null)
      // Whoever guesses names learns nothing from how long it takes.
      if (found.length === 0) await hashing.hash(password, randomBytes(16))
      for (const one of found) if (await hashing.isOf(password, one.password)) return { id: one.id, name: one.name }
      return null
    },
    find: async (id) => {
      const found = await find(id)
      return found === null ? null : { id: found.id, name: found.name }
    },
  }
}

function nameKey(name: string): string {
  return `${ROOM}names/${digest(name)}`
}

function emailKey(email: string): string {
  return `${ROOM}emails/${digest(email)}`
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Becomes the author of what he writes. */
function isPlain(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- just these
  return text !== '' && isName(text) && text.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f]/.test(text)
}

function isTooLong(password: string): boolean {
  return Buffer.byteLength(password) > MAX_PASSWORD
}

interface Kept extends User {
  readonly password: string
}

function decode(value: unknown): Kept | null {
  const { v, id, username, password } = (value ?? {}) as Readonly<Record<string, unknown>>
  const known = v === FORMAT && typeof id === 'number' && typeof username === 'string' && typeof password === 'string'
  return known ? { id, name: username, password } : null
}

/** Cost of a hash: 32 MiB of memory, and a twentieth of a second or more. */
const COST = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const
const BYTES = 32
/** Hashes made at a time, and those that wait for their turn. */
const AT_ONCE = 2
const WAITING = 32

interface Hashing {
  /** `scrypt$N$r$p$SALT$HASH`. Throws `Unavailable` when too many wait. */
  hash(password: string, salt: Uint8Array): Promise<string>
  isOf(password: string, hash: string): Promise<boolean>
}

function openHashing(): Hashing {
  let running = 0
  const line: (() => void)[] = []
  const hash = async (password: string, salt: Uint8Array): Promise<string> => {
    if (line.length >= WAITING) throw new BlobsError('Unavailable', 'too many sign in at once', { retryAfter: 1000 })
    if (running >= AT_ONCE) await new Promise<void>((resolve) => void line.push(resolve))
    running += 1
    try {
      const key = await derive(password, salt)
      return ['scrypt', COST.N, COST.r, COST.p, Buffer.from(salt).toString('base64'), key.toString('base64')].join('$')
    } finally {
      running -= 1
      line.shift()?.()
    }
  }
  return {
    hash,
    isOf: async (password, kept) => {
      const salt = Buffer.from(kept.split('$')[4] ?? '', 'base64')
      const made = Buffer.from(await hash(password, salt))
      const known = Buffer.from(kept)
      return made.length === known.length && timingSafeEqual(made, known)
    },
  }
}

function derive(password: string, salt: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    // Of a text in several forms of Unicode, each keyboard types another.
    scrypt(password.normalize('NFKC'), salt, BYTES, COST, (error, key) => (error ? reject(error) : resolve(key)))
  })
}
