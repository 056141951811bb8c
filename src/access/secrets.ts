import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'

/** What tokens are signed with. Never to be logged or sent. */
export interface Secrets {
  readonly current: string
  /** Still accepted while tokens are being replaced. */
  readonly previous: string | null
}

/** A secret that cannot be used as it is; `hint` says what to do. */
export class BadSecret extends Error {
  readonly hint: string

  constructor(message: string, hint: string) {
    super(message)
    this.name = 'BadSecret'
    this.hint = hint
  }
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The secrets of a server: `TOKEN_SECRET` and `TOKEN_SECRET_PREVIOUS`, or else the file `secret` in the data directory, which is
 * made with a random secret if it is not there. Throws `BadSecret`, or the operating system's error.
 */
export async function loadSecrets(env: Environment, directory: string): Promise<Secrets> {
  const current = env['TOKEN_SECRET'] || (await secretFile(directory))
  return { current, previous: env['TOKEN_SECRET_PREVIOUS'] || null }
}

async function secretFile(directory: string): Promise<string> {
  const path = join(directory, 'secret')
  return (await readSecret(path)) ?? makeSecret(directory, path)
}

/** Null if there is none. */
async function readSecret(path: string): Promise<string | null> {
  const found = await stat(path).catch(absent)
  if (found === null) return null
  if ((found.mode & 0o077) !== 0) {
    throw new BadSecret(
      `${path} can be read by other users, so the secret in it is not one`,
      `if nobody else has read it: chmod 600 ${path}; otherwise remove it, and make new tokens`,
    )
  }
  const secret = (await readFile(path, 'utf8')).trim()
  if (secret !== '') return secret
  throw new BadSecret(`${path} is empty`, 'remove it, and a new secret is made at the next start')
}

/** Written whole under another name first: of several processes that start at once one wins, and all read the same secret. */
async function makeSecret(directory: string, path: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  // Chance is not an argument here: a secret that a caller could choose is none.
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(`${randomBytes(32).toString('base64url')}\n`)
    await file.sync()
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await file.close()
    await unlink(temporary)
  }
  await syncFolder(directory)
  const secret = await readSecret(path)
  if (secret !== null) return secret
  throw new BadSecret(`${path} vanished while it was made`, 'see what removes files there, and start again')
}

async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r')
  await folder.sync().finally(() => folder.close())
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}
