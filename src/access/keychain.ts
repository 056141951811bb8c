import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { BlobsError } from '../store/contract/errors.ts'

/** The secret store of this machine's user: Secret Service, macOS Keychain, Windows Credential Manager. One token for each origin. */
export interface Keychain {
  /** Null if there is none; also, on some systems, while it is locked. */
  read(origin: string): Promise<string | null>
  write(origin: string, token: string): Promise<void>
  /** False if there was none. */
  remove(origin: string): Promise<boolean>
}

type Environment = Readonly<Record<string, string | undefined>>

/** What one may do without it. */
export const WAYS_OUT =
  'give a token by BLOBS_TOKEN or BLOBS_TOKEN_FILE · or keep it unencrypted in a file of yours: blobs login SERVER --insecure-storage'

/** Milliseconds that all calls may take together: who waits at a terminal hears within 5 s. */
const LIMIT = 4000
const SERVICE = 'blobs'

/**
 * The keychain, each call in a process of its own, since one that does not answer would hold up this one for ever. The calls together
 * have 4 seconds. They throw `Unauthenticated`, with the ways out as the hint, where it is missing, locked or silent.
 */
export function openKeychain(env: Environment): Keychain {
  const started = performance.now()
  const call = async (act: 'read' | 'write' | 'remove', origin: string, token?: string): Promise<unknown> => {
    const left = LIMIT - (performance.now() - started)
    const answer = await ask(env, { path: packagePath(), service: SERVICE, act, account: origin, token }, left)
    if (answer === null) throw unusable(`it does not answer (waited ${LIMIT / 1000} s)`)
    if ('problem' in answer) throw unusable(explain(answer.problem))
    return answer.value
  }
  return {
    read: async (origin) => {
      const token = await call('read', origin)
      return typeof token === 'string' ? token : null
    },
    write: async (origin, token) => void (await call('write', origin, token)),
    remove: async (origin) => (await call('remove', origin)) === true,
  }
}

interface Question {
  readonly path: string
  readonly service: string
  readonly act: 'read' | 'write' | 'remove'
  readonly account: string
  readonly token?: string | undefined
}
type Reply = { readonly value: unknown } | { readonly problem: string }

/** The whole program of the other process. The token goes in and out by pipes: an argument or a variable could be read by others. */
const PROGRAM = `
let text = ''
process.stdin.setEncoding('utf8').on('data', (part) => (text += part)).on('end', async () => {
  const say = (answer) => process.stdout.write(JSON.stringify(answer), () => process.exit(0))
  try {
    const { path, service, act, account, token } = JSON.parse(text)
    const keytar = require(path)
    const acts = {
      read: () => keytar.getPassword(service, account),
      write: () => keytar.setPassword(service, account, token),
      remove: () => keytar.deletePassword(service, account),
    }
    say({ value: (await acts[act]()) ?? null })
  } catch (error) {
    say({ problem: String((error && error.message) || error) })
  }
})
`

/** Null when there was no answer within so many milliseconds. */
function ask(env: Environment, question: Question, limit: number): Promise<Reply | null> {
  const { BLOBS_TOKEN: _token, TOKEN_SECRET: _secret, NODE_OPTIONS: _options, ...rest } = env
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', PROGRAM], { env: rest, stdio: ['pipe', 'pipe', 'ignore'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), Math.max(limit, 0))
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    child.on('error', reject)
    // One that is killed while it reads breaks the pipe.
    child.stdin.on('error', () => undefined)
    child.on('close', () => {
      clearTimeout(timer)
      resolve(parse(text))
    })
    child.stdin.end(JSON.stringify(question))
  })
}

function parse(text: string): Reply | null {
  try {
    return JSON.parse(text) as Reply
  } catch {
    return null
  }
}

function packagePath(): string {
  try {
    return createRequire(import.meta.url).resolve('keytar')
  } catch {
    throw unusable('the package keytar, which speaks to it, is not installed')
  }
}

const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/libsecret/i, 'libsecret is not installed'],
  [/autolaunch D-Bus|D-?Bus|message bus/i, 'there is no D-Bus session'],
  [/not provided by any \.service|ServiceUnknown/i, 'no service keeps secrets here, as gnome-keyring or KWallet do'],
  [/locked/i, 'it is locked'],
]

function explain(problem: string): string {
  const found = KNOWN.find(([pattern]) => pattern.test(problem))
  return found?.[1] ?? (problem.split('\n', 1)[0] ?? '').slice(0, 200)
}

function unusable(why: string): BlobsError {
  return new BlobsError('Unauthenticated', `the keychain of this machine cannot be used: ${why}`, { hint: WAYS_OUT })
}
