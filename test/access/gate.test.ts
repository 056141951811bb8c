import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Gate, openGate } from '../../src/access/gate.ts'
import type { Secrets } from '../../src/access/secrets.ts'
import { openSystem } from '../../src/access/system.ts'
import { mintToken } from '../../src/access/tokens.ts'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import { BlobsError } from '../../src/store/contract/errors.ts'

const SECRETS: Secrets = { current: 'a secret', previous: null }
const MOST = 3
const WINDOW = 60_000
let buckets: Buckets
let system: BlobStore
let gate: Gate
let elapsed: number
let broken: boolean

beforeEach(async () => {
  elapsed = 0
  broken = false
  buckets = openBuckets({ backend: openMemory(), clock, ids })
  const store = await openSystem(buckets)
  // As a disk that fails: what is open ends, and nothing can be read any more.
  const fail = (): never => {
    throw new BlobsError('Unavailable', 'the disk fails')
  }
  system = {
    ...store,
    list: async (options) => (broken ? fail() : store.list(options)),
    changes: async function* (options) {
      for await (const item of store.changes(options)) {
        if (broken) fail()
        yield item
      }
    },
  }
  const times = { now: () => clock.now(), elapsed: () => elapsed }
  gate = await openGate({ system, secrets: SECRETS, source: null, guesses: { most: MOST, window: WINDOW }, times })
})
afterEach(async () => {
  await gate.close()
  await system.close()
  await buckets.close()
})

const mint = (secret = SECRETS, now = clock.now(), expires?: number): Promise<string> =>
  mintToken({ bucket: 'team', ...(expires === undefined ? {} : { expires }) }, secret, { now, id: ids.next() })
/** The code and message of the refusal, or `in`. */
const outcome = (token: string, address: string): Promise<string> =>
  gate.admit(token, address).then(
    () => 'in',
    (error: BlobsError) => `${error.code}: ${error.message}`,
  )
const LOCKED = 'Unavailable: too many bad tokens came from this address'
const bad = async (address: string, count = MOST): Promise<void> => {
  for (let index = 0; index < count; index++) {
    expect(await outcome(await mint({ current: `guess ${index}`, previous: null }), address)).toContain('Unauth')
  }
}

describe('who sends too many tokens that were never good', () => {
  it.each([
    ['10.0.0.1', '10.0.0.2'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.2'],
    ['2001:db8::1', '2001:db8:0:1::1'],
  ])('must wait at %s, with a good one too, and nobody at %s', async (address, other) => {
    const good = await mint()
    await bad(address)
    expect(await outcome(good, address)).toBe(LOCKED)
    expect(await outcome('nonsense', address)).toBe(LOCKED)
    expect(await outcome(good, other)).toBe('in')
    elapsed += WINDOW
    expect(await outcome(good, address)).toBe('in')
  })

  it('is told for how long', async () => {
    await bad('10.0.0.1')
    elapsed += WINDOW - 1500
    await expect(gate.admit('x', '10.0.0.1')).rejects.toMatchObject({ retryAfter: 1500 })
  })

  it('is the same at all addresses of one IPv6 network', async () => {
    await bad('2001:db8::1', 2)
    await bad('2001:db8::2', 1)
    expect(await outcome(await mint(), '2001:db8::3')).toBe(LOCKED)
  })

  it.each(['127.0.0.1', '::1', '::ffff:127.0.0.1'])(
    'at %s is still let in with a good one, and only with that',
    async (own) => {
      await bad(own)
      expect(await outcome('nonsense', own)).toBe(LOCKED)
      expect(await outcome(await mint(), own)).toBe('in')
    },
  )

  it('is not who goes on with one that was good once', async () => {
    const old = await mint(SECRETS, clock.now() - 10_000, clock.now() - 5000)
    for (let index = 0; index < MOST * 2; index++) expect(await outcome(old, '10.0.0.1')).toContain('has expired')
    expect(await outcome(await mint(), '10.0.0.1')).toBe('in')
  })
})

it('nobody is let in while it cannot be read for a second who was revoked; afterwards all is as before', async () => {
  const token = await mint()
  broken = true
  // The feed learns of the failure with the next change.
  await buckets.open('_system').then((store) =>
    store.commit([
      {
        id: ids.next(),
        changes: [
          {
            type: 'put',
            key: 'x',
            expect: 'any',
            hash: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
            size: 0,
            body: { depth: 0, refs: [] },
            contentType: 'a/b',
            meta: {},
          },
        ],
      },
    ]),
  )
  await expect.poll(() => outcome(token, '10.0.0.1'), { timeout: 5000 }).toContain('which tokens were revoked')
  // But to read, where that was said to be worth it.
  await expect(gate.admit(token, '10.0.0.1', 60_000)).resolves.toMatchObject({ bucket: 'team' })
  await expect(gate.admit(token, '10.0.0.1', 500)).rejects.toThrow('which tokens were revoked')
  broken = false
  await expect.poll(() => outcome(token, '10.0.0.1'), { timeout: 5000 }).toBe('in')
})
