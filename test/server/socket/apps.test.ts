import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import { deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ask, type Running, running } from '../running.ts'
import { type Client, connect } from './client.ts'

let at: Running
beforeAll(async () => {
  at = await running({ on: 'disk' })
})
afterAll(() => at[Symbol.asyncDispose]())

/** How an app names its blob and hides what is in it. */
interface App {
  readonly name: string
  readonly newSecret: () => string
  readonly ref: (secret: string) => string
  readonly pack: (value: unknown, secret: string) => string
  readonly unpack: (data: string, secret: string) => unknown
}

/** OpenSSL's way to make a key of a passphrase: MD5 over and over. */
function keyOf(passphrase: string, salt: Uint8Array): { readonly key: Buffer; readonly iv: Buffer } {
  let block = Buffer.alloc(0)
  let all = Buffer.alloc(0)
  while (all.length < 48) {
    block = createHash('md5').update(block).update(passphrase).update(salt).digest()
    all = Buffer.concat([all, block])
  }
  return { key: all.subarray(0, 32), iv: all.subarray(32, 48) }
}

/** gestalt and split. */
const gestalt: App = {
  name: 'gestalt and split',
  newSecret: () => randomBytes(32).toString('base64url'),
  ref: (secret) => createHmac('sha256', 'a salt of the app').update(secret).digest('hex'),
  pack: (value, secret) => {
    const salt = randomBytes(8)
    const { key, iv } = keyOf(secret, salt)
    const cipher = createCipheriv('aes-256-cbc', key, iv)
    const sealed = [cipher.update(deflateSync(JSON.stringify(value))), cipher.final()]
    return Buffer.concat([Buffer.from('Salted__'), salt, ...sealed]).toString('base64')
  },
  unpack: (data, secret) => {
    const bytes = Buffer.from(data, 'base64')
    expect(bytes.subarray(0, 8).toString()).toBe('Salted__')
    const { key, iv } = keyOf(secret, bytes.subarray(8, 16))
    const decipher = createDecipheriv('aes-256-cbc', key, iv)
    return JSON.parse(inflateSync(Buffer.concat([decipher.update(bytes.subarray(16)), decipher.final()])).toString())
  },
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest()
const split2: App = {
  name: 'split2',
  newSecret: () => randomBytes(33).toString('base64url').slice(0, 43),
  ref: (secret) => createHmac('sha256', secret).update('a salt of the app\nBLOBS_ANCHOR').digest('hex'),
  pack: (value, secret) => {
    const iv = randomBytes(12)
    const cipher = createCipheriv('aes-256-gcm', sha256(secret), iv)
    const sealed = [cipher.update(gzipSync(JSON.stringify(value))), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat([iv, ...sealed]).toString('base64')
  },
  unpack: (data, secret) => {
    const bytes = Buffer.from(data, 'base64')
    const decipher = createDecipheriv('aes-256-gcm', sha256(secret), bytes.subarray(0, 12)).setAuthTag(
      bytes.subarray(-16),
    )
    return JSON.parse(
      gunzipSync(Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()])).toString(),
    )
  },
}

interface Answer {
  readonly data?: string
  readonly version?: number
  readonly success?: boolean
}

/** One open window of an app: a set of words that it keeps the same with all other windows, as its apps do. */
async function openWindow(
  app: App,
  secret: string,
): Promise<Client & { readonly words: Set<string>; sync(): Promise<void> }> {
  const client = await connect(at.url, await at.token({ bucket: 'app' }))
  const words = new Set<string>()
  const submit = async (event: string, value?: unknown): Promise<Answer> => {
    const [answer] = await client.ask(event, ...(value === undefined ? [] : [value]))
    return answer ?? {}
  }
  let known: number | undefined
  const merge = ({ data }: Answer): void => {
    if (data === undefined) return
    for (const word of app.unpack(data, secret) as string[]) words.add(word)
  }
  let syncing = Promise.resolve()
  const sync = async (): Promise<void> => {
    let answer = await submit('get', { known })
    for (let attempt = 0; attempt < 10; attempt++) {
      const before = words.size
      merge(answer)
      const news = [...words].toSorted()
      if (answer.data !== undefined && before === words.size && answer.version === known) return
      answer = await submit('set', { data: app.pack(news, secret), version: answer.version })
      if (answer.success === true) {
        known = answer.version
        return
      }
    }
    throw new Error('no consensus in ten attempts')
  }
  const inTurn = (): Promise<void> => (syncing = syncing.then(sync))
  const read = async (): Promise<void> => {
    const answer = await submit('get', { known })
    merge(answer)
    known = answer.version ?? known
  }
  expect(await submit('now')).toEqual({ timestamp: expect.any(Number) })
  await submit('ref', app.ref(secret))
  client.socket.on('changed', () => (syncing = syncing.then(read)))
  return Object.assign(client, { words, sync: inTurn })
}

describe.each([gestalt, split2])('$name', (app) => {
  it('four windows that write at the same time end with the same, and the server cannot read it', async () => {
    const secret = app.newSecret()
    const windows = await Promise.all(Array.from({ length: 4 }, () => openWindow(app, secret)))
    for (let round = 0; round < 3; round++) {
      await Promise.all(
        windows.map(async (window, index) => {
          window.words.add(`word ${index} of round ${round}`)
          await window.sync()
        }),
      )
    }
    const all = Array.from(
      { length: 12 },
      (_, index) => `word ${index % 4} of round ${Math.floor(index / 4)}`,
    ).toSorted()
    for (const { words } of windows) await expect.poll(() => [...words].toSorted()).toEqual(all)
    const path = `/v1/buckets/app/blobs/${app.ref(secret)}`
    const { bytes } = await ask(at.url, path, { token: await at.token({ bucket: 'app' }) })
    expect(app.unpack(bytes.toString('base64'), secret)).toEqual(all)
    expect(bytes.includes('word')).toBe(false)
    for (const window of windows) window[Symbol.dispose]()
  })
})
