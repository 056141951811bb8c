import { randomBytes } from 'node:crypto'
import { link, mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobsError } from '../store/contract/errors.ts'

/** What tokens are signed with. Never to be logged or sent. */
export interface Secrets {
  readonly current: string
  /** Still accepted while tokens are being replaced. */
  readonly previous: string | null
}

type Environment = Readonly<Record<string, string | undefined>>

/** Where the secrets of a store come from: `TOKEN_SECRET` and `TOKEN_SECRET_PREVIOUS`, or else files of its data directory. */
export interface SecretSource {
  /** What is valid now; without `TOKEN_SECRET`, a random secret is made when there is none. Throws `Refused`, or the operating system's error. */
  load(): Promise<Secrets>
  /** The same, but null when there is none; none is made. */
  look(): Promise<Secrets | null>
  /** Until when the secret before is valid, in milliseconds since 1970; null when there is none any more. */
  previousUntil(): Promise<number | null>
  /**
   * Makes a new secret; the present one stays valid until a time (milliseconds since 1970), and one before it no longer. Throws `Refused`
   * where the secret comes from the environment.
   */
  rotate(until: number): Promise<void>
}

/** `now` in milliseconds since 1970. Nothing is read or made before the first call. */
export function openSecretSource(env: Environment, directory: string, now: () => number): SecretSource {
  const path = join(directory, 'secret')
  const kept = join(directory, 'secret-previous')
  const previous = async (): Promise<Previous | null> => {
    const text = await readSecret(kept)
    const found = text === null ? null : previousIn(text, kept)
    return found !== null && found.until > now() ? found : null
  }
  const given = env['TOKEN_SECRET_PREVIOUS'] || null
  const look = async (): Promise<Secrets | null> => {
    // In this order, a rotation in between is seen whole or not at all.
    const current = env['TOKEN_SECRET'] || (await readSecret(path))
    if (current === null) return null
    const own = given !== null || env['TOKEN_SECRET'] ? null : await previous()
    return { current, previous: given ?? own?.secret ?? null }
  }
  return {
    load: async () => (await look()) ?? { current: await makeSecret(directory, path), previous: given },
    look,
    previousUntil: async () => (env['TOKEN_SECRET'] ? null : ((await previous())?.until ?? null)),
    rotate: async (until) => {
      if (env['TOKEN_SECRET']) {
        throw refused(
          'the secret comes from TOKEN_SECRET, which no program can change for another',
          'start the server anew with TOKEN_SECRET_PREVIOUS set to the present secret and TOKEN_SECRET to a new one',
        )
      }
      const secret = (await readSecret(path)) ?? (await makeSecret(directory, path))
      // The order matters: a crash in between leaves the present secret in force, and kept twice.
      await replaceSecret(kept, JSON.stringify({ secret, until }))
      await replaceSecret(path, newSecret())
      await syncFolder(directory)
    },
  }
}

interface Previous {
  readonly secret: string
  readonly until: number
}

function previousIn(text: string, path: string): Previous {
  try {
    const { secret, until } = JSON.parse(text) as Partial<Record<string, unknown>>
    if (typeof secret === 'string' && secret !== '' && typeof until === 'number') return { secret, until }
  } catch {
    // Told below.
  }
  throw refused(`${path} does not hold what it should`, 'remove it: tokens of the secret before end then')
}

/** Null if there is none. */
async function readSecret(path: string): Promise<string | null> {
  const found = await stat(path).catch(absent)
  if (found === null) return null
  if ((found.mode & 0o077) !== 0) {
    throw refused(
      `${path} can be read by other users, so the secret in it is not one`,
      `if nobody else has read it: chmod 600 ${path}; otherwise remove it, and make new tokens`,
    )
  }
  const secret = (await readFile(path, 'utf8')).trim()
  if (secret !== '') return secret
  throw refused(`${path} is empty`, 'remove it, and a new secret is made at the next start')
}

// Chance is not an argument here: a secret that a caller could choose is none.
function newSecret(): string {
  return randomBytes(32).toString('base64url')
}

/** Written whole under another name first: of several processes that start at once one wins, and all read the same secret. */
async function makeSecret(directory: string, path: string): Promise<string> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const temporary = await writeBeside(path, newSecret())
  try {
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await unlink(temporary)
  }
  await syncFolder(directory)
  const secret = await readSecret(path)
  if (secret !== null) return secret
  throw refused(`${path} vanished while it was made`, 'see what removes files there, and start again')
}

async function replaceSecret(path: string, text: string): Promise<void> {
  await rename(await writeBeside(path, text), path)
}

/** Gives the name of the new file, which is durable and only its owner's. */
async function writeBeside(path: string, text: string): Promise<string> {
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  const file = await open(temporary, 'wx', 0o600)
  try {
    await file.writeFile(`${text}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  return temporary
}

async function syncFolder(directory: string): Promise<void> {
  const folder = await open(directory, 'r')
  await folder.sync().finally(() => folder.close())
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === 'ENOENT') return null
  throw error
}

function refused(message: string, hint: string): BlobsError {
  return new BlobsError('Refused', message, { hint })
}
