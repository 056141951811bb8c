import { createHmac } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Grant } from '../../src/access/grant.ts'
import { mayAdmin, mayCreate, mayDelete, mayRead, mayReadAll, mayWrite } from '../../src/access/grant.ts'
import type { Secrets } from '../../src/access/secrets.ts'
import { mintToken, type Rejection, type TokenRequest, verifyToken } from '../../src/access/tokens.ts'
import { openVerifier } from '../../src/access/verifier.ts'

const NOW = Date.parse('2030-05-01T12:00:00Z')
const OLD = { current: 'the old secret', previous: null }
const BOTH = { current: 'the new secret', previous: 'the old secret' }
const NEW = { current: 'the new secret', previous: null }
const id = '0123456789abcdef0123456789abcdef'

function mint(request: TokenRequest, secrets: Secrets = OLD): Promise<string> {
  return mintToken(request, secrets, { now: NOW, id })
}

/** A token made without our code, as another program would. */
function foreign(header: unknown, payload: unknown, secret: string, hash = 'sha256'): string {
  const text = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
  return `${text}.${createHmac(hash, secret).update(text).digest('base64url')}`
}

describe('a token', () => {
  it('gives back what it was made for', async () => {
    const token = await mint({
      bucket: 'team',
      can: ['read', 'admin'],
      prefixes: ['docs/', 'a/b'],
      name: 'Zoë',
      expires: NOW + 60_500,
    })
    expect(await verifyToken(token, OLD, NOW)).toEqual({
      ok: true,
      grant: {
        id,
        name: 'Zoë',
        bucket: 'team',
        can: ['read', 'admin'],
        prefixes: ['docs', 'a/b'],
        expires: NOW + 60_000,
        issued: NOW,
        key: expect.stringMatching(/^[0-9a-f]{8}$/),
      },
    })
  })

  it('reads, writes and deletes in the whole bucket unless it says otherwise', async () => {
    const verdict = await verifyToken(await mint({ bucket: 'team' }), OLD, NOW)
    expect(verdict).toMatchObject({
      ok: true,
      grant: { can: ['read', 'write', 'delete'], prefixes: null, expires: null },
    })
  })

  it('of the form {bucket, iat} is taken, with an id of its own and never as admin', async () => {
    const token = foreign({ alg: 'HS256', typ: 'JWT' }, { bucket: 'team', iat: 1_700_000_000 }, OLD.current)
    const verdict = await verifyToken(token, OLD, NOW)
    expect(verdict).toMatchObject({ ok: true, grant: { bucket: 'team', name: '', can: ['read', 'write', 'delete'] } })
    if (verdict.ok) expect(verdict.grant.id).toMatch(/^[0-9a-f]{32}$/)
  })

  it('signed with the previous secret is taken while that is given, and then no more', async () => {
    const token = await mint({ bucket: 'team' }, OLD)
    expect(await verifyToken(token, BOTH, NOW)).toMatchObject({ ok: true })
    expect(await verifyToken(token, NEW, NOW)).toEqual({ ok: false, reason: 'wrong-signature' })
    expect(await verifyToken(await mint({ bucket: 'team' }, BOTH), NEW, NOW)).toMatchObject({ ok: true })
  })

  const hs256 = { alg: 'HS256', typ: 'JWT' }
  const claims = { bucket: 'team', iat: 1 }
  const none = `${[{ alg: 'none' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')}.`
  const seconds = NOW / 1000
  it.each<[string, string, Rejection]>([
    ['an empty one', '', 'malformed'],
    ['three words', 'a.b.c', 'malformed'],
    ['one of ten thousand characters', 'x'.repeat(10_000), 'malformed'],
    ['another secret', foreign(hs256, claims, 'guess'), 'wrong-signature'],
    ['alg none', none, 'wrong-algorithm'],
    ['alg HS512', foreign({ alg: 'HS512' }, claims, OLD.current, 'sha512'), 'wrong-algorithm'],
    ['alg RS256', foreign({ alg: 'RS256' }, claims, OLD.current), 'wrong-algorithm'],
    ['expired this second', foreign(hs256, { ...claims, exp: seconds }, OLD.current), 'expired'],
    ['not valid yet', foreign(hs256, { ...claims, nbf: seconds + 9 }, OLD.current), 'not-yet-valid'],
    ['no bucket', foreign(hs256, { iat: 1 }, OLD.current), 'bad-claims'],
    ['a bucket that is a list', foreign(hs256, { bucket: ['team'] }, OLD.current), 'bad-claims'],
    ['an unknown capability', foreign(hs256, { ...claims, can: ['read', 'root'] }, OLD.current), 'bad-claims'],
    ['capabilities as one text', foreign(hs256, { ...claims, can: 'read' }, OLD.current), 'bad-claims'],
    ['a prefix as one text', foreign(hs256, { ...claims, prefixes: 'docs' }, OLD.current), 'bad-claims'],
    ['no prefix at all', foreign(hs256, { ...claims, prefixes: [] }, OLD.current), 'bad-claims'],
    ['an empty prefix', foreign(hs256, { ...claims, prefixes: ['/'] }, OLD.current), 'bad-claims'],
    ['a name of 300 bytes', foreign(hs256, { ...claims, name: 'é'.repeat(150) }, OLD.current), 'bad-claims'],
    ['an expiry that is a text', foreign(hs256, { ...claims, exp: 'never' }, OLD.current), 'bad-claims'],
  ])('with %s is refused with its reason', async (_name, token, reason) => {
    const verdict = await verifyToken(token, OLD, NOW)
    expect(verdict).toEqual({ ok: false, reason: verdict.ok ? '' : expect.stringMatching(new RegExp(`^${reason}$`)) })
  })

  it('with any character changed is refused', async () => {
    const token = await mint({ bucket: 'team', name: 'x' })
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.constantFrom('A', 'z', '0', '.', '%'), async (at, sign) => {
        fc.pre(token[at] !== sign)
        const changed = token.slice(0, at) + sign + token.slice(at + 1)
        // The last character of a signature holds two bits that mean nothing.
        fc.pre(at !== token.length - 1)
        expect((await verifyToken(changed, OLD, NOW)).ok).toBe(false)
      }),
      { numRuns: 200 },
    )
  })
})

describe('a verifier', () => {
  it('goes on refusing an expired token that it once took', async () => {
    let now = NOW
    const { verify } = openVerifier(OLD, () => now)
    const token = await mint({ bucket: 'team', expires: NOW + 5000 })
    expect(await verify(token)).toMatchObject({ ok: true })
    now = NOW + 4999
    expect(await verify(token)).toMatchObject({ ok: true })
    now = NOW + 5000
    expect(await verify(token)).toEqual({ ok: false, reason: 'expired' })
    expect(await verify(token)).toEqual({ ok: false, reason: 'expired' })
  })

  it('answers for a token it knows far faster than for a new one', async () => {
    const { verify } = openVerifier(OLD, () => NOW)
    const token = await mint({ bucket: 'team' })
    const first = await verify(token)
    const again = await verify(token)
    expect(again).toBe(first)
  })
})

describe('a grant', () => {
  const base: Grant = {
    id,
    name: '',
    bucket: 'team',
    prefixes: ['docs', 'a/b'],
    can: ['read', 'write'],
    expires: null,
    issued: null,
    key: '',
  }

  it.each([
    ['docs', true],
    ['docs/', true],
    ['docs/x', true],
    ['docs/x/y/', true],
    ['a/b', true],
    ['a/b/c', true],
    ['a', false],
    ['a/', false],
    ['a/bc', false],
    ['docs2', false],
    ['docs-x', false],
    ['Docs/x', false],
    ['x/docs', false],
    ['', false],
  ])('for docs and a/b and the key %j says %s: whole segments', (key, allowed) => {
    expect(mayRead(base, 'team', key)).toBe(allowed)
    expect(mayWrite(base, 'team', key)).toBe(allowed)
    expect(mayDelete(base, 'team', key)).toBe(false)
  })

  it('says nothing about another bucket', () => {
    expect(mayRead(base, 'team2', 'docs/x')).toBe(false)
    expect(mayRead({ ...base, bucket: '*' }, 'team2', 'docs/x')).toBe(true)
  })

  it('makes its own bucket when it may write, and any bucket only as admin of all', () => {
    const whole = { ...base, prefixes: null }
    expect(mayCreate(whole, 'team')).toBe(true)
    expect(mayCreate({ ...whole, can: ['read'] }, 'team')).toBe(false)
    expect(mayCreate({ ...whole, bucket: '*' }, 'team')).toBe(false)
    expect(mayCreate({ ...whole, bucket: '*', can: ['admin'] }, 'team')).toBe(true)
  })

  it('is never admin, nor reader of all, when it is confined', () => {
    expect(mayAdmin({ ...base, can: ['admin'] }, 'team')).toBe(false)
    expect(mayAdmin({ ...base, can: ['admin'], prefixes: null }, 'team')).toBe(true)
    expect(mayReadAll(base, 'team')).toBe(false)
    expect(mayReadAll({ ...base, prefixes: null }, 'team')).toBe(true)
    expect(mayReadAll({ ...base, prefixes: null, can: ['write'] }, 'team')).toBe(false)
  })

  it('confined to a prefix holds exactly the keys whose first segments are the prefix', () => {
    const segment = fc.constantFrom('a', 'b', 'ab', 'a-', 'é')
    const path = fc.array(segment, { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(path, path, (prefix, key) => {
        const grant = { ...base, prefixes: [prefix.join('/')] }
        const expected = prefix.every((part, index) => key[index] === part)
        expect(mayRead(grant, 'team', key.join('/'))).toBe(expected)
      }),
    )
  })
})
