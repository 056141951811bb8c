import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { openInvitations } from '../../src/access/invitations.ts'
import { systemClock } from '../../src/platform/system.ts'
import { ask, newId, type Reply, type Running, running } from '../server/running.ts'
import { fault } from './answers.ts'
import type { WireAnswer } from './wire.ts'

export const sha = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A real server on a real disk with something in it that no answer to an attacker may show. */
export interface Fortress extends AsyncDisposable {
  readonly at: Running
  /** Tokens by what they are; all that one may not see is `secrets` of it. */
  readonly tokens: Readonly<Record<TokenName, string>>
  /** Of a key in reach: what a valid request would name. */
  readonly known: { readonly hash: string; readonly size: number; readonly entry: string; readonly cursor: string }
  /** Of a key out of reach whose name and hash everybody knows, but not its bytes. */
  readonly named: { readonly hash: string; readonly size: number }
  /** Ids of entries that are out of reach, as bookmarks tell them, and hashes that everybody may know. */
  readonly ids: readonly string[]
  /** A cursor of the bucket `other`. */
  readonly foreignCursor: string
  /** Of an upload of another user. */
  readonly foreignUpload: string
  /** Throws when an answer to this token shows what it may not, or is not what the protocol says. */
  check(answer: WireAnswer | null, token: TokenName, asked: string): void
  /** The server lives, tells the truth in its log, and what was out of reach is as it was. */
  checkAll(): Promise<void>
}
export type TokenName = 'confined' | 'reader' | 'writer' | 'team' | 'scratch' | 'user' | 'none'

const CANARY = 'canary'

export async function openFortress(): Promise<Fortress> {
  const invitations = openInvitations(systemClock)
  invitations.issue({ bucket: 'other', prefix: '' }, 600_000)
  const spool = await mkdtemp(join(tmpdir(), 'blobs-uploads-'))
  const at = await running({
    on: 'disk',
    bounds: { heartbeat: 20, headers: 1000 },
    join: { invitations },
    faces: [
      { name: 'containers', signUp: 'anybody', spool },
      { name: 'changelog', bucket: 'log', store: 'MyStore' },
      { name: 'addresses', bucket: 'media' },
    ],
  })
  const secret = (): string => `${CANARY}${newId()}`
  const root = await at.token({ bucket: '*', can: ['read', 'write', 'delete', 'admin'], name: secret() })
  const ids: string[] = []
  const secrets = { other: [] as string[], private: [] as string[] }
  const plant = async (bucket: string, key: string, into: string[], hidden = true): Promise<Reply> => {
    const bytes = secret().repeat(3)
    const name = `${key}/${hidden ? secret() : 'named'}`
    const reply = await ask(at.url, `/v1/buckets/${bucket}/blobs/${name}`, {
      method: 'PUT',
      token: root,
      body: bytes,
      headers: { 'x-blobs-meta-note': secret(), 'content-type': `text/${secret()}`, 'x-blobs-device': secret() },
    })
    expect(reply.status).toBe(201)
    ids.push(reply.json.entry)
    if (hidden) into.push(reply.json.hash, Buffer.from(reply.json.hash, 'hex').toString('latin1'))
    return reply
  }
  for (const bucket of ['team', 'other', 'scratch']) await at.buckets.create(bucket)
  await plant('other', 'docs', secrets.other)
  await plant('team', 'private', secrets.private)
  await plant('team', 'docs2', secrets.private)
  await plant('other', 'docs', secrets.other, false)
  await plant('team', 'docs2', secrets.private, false)
  const named = await plant('team', 'private', secrets.private, false)
  const known = await ask(at.url, '/v1/buckets/team/blobs/docs/a', { method: 'PUT', token: root, body: 'in reach' })
  // The author of what is in reach is in reach too.
  const author = String(known.json.author)
  await ask(at.url, '/v1/buckets/team/blobs/docs/b', { method: 'PUT', token: root, body: 'b'.repeat(200_000) })
  await ask(at.url, '/v1/buckets/team/blobs/docs/b', { method: 'DELETE', token: root })
  const foreign = await ask(at.url, '/v1/buckets/other', { token: root })
  // Another user of containers: her name, her address and all that is in a container of hers.
  const eve = { username: secret(), email: secret(), password: secret() }
  secrets.other.push(...Object.values(eve))
  const user = await signIn(at, ANN, ['box', 'spare'])
  const her = await signIn(at, eve, ['box', 'hers'])
  const upload = await ask(at.url, '/initiate-upload', {
    method: 'POST',
    token: her,
    body: JSON.stringify({ container_name: 'hers', file_name: secret(), file_size: 3 }),
  })
  await plant('u2.box', 'docs', secrets.other)
  const tokens = {
    confined: await at.token({ prefixes: ['docs'] }),
    reader: await at.token({ prefixes: ['docs'], can: ['read'] }),
    writer: await at.token({ prefixes: ['docs'], can: ['write'] }),
    team: await at.token({}),
    scratch: await at.token({ bucket: 'scratch', can: ['read', 'write', 'delete', 'admin'] }),
    user,
    none: '',
  }
  // The record of a token for another bucket: its name and folders are nobody's business.
  const request = { bucket: 'other', name: secret(), prefixes: [secret()] }
  const record = await ask(at.url, '/v1/tokens', { method: 'POST', token: root, body: JSON.stringify(request) })
  secrets.other.push(request.name, ...request.prefixes)
  ids.push(record.json.id)
  const before = await outOfReach(at, root, her)
  const check: Fortress['check'] = (answer, token, asked) => {
    if (answer === null) return
    expect(fault(answer), asked).toBeNull()
    const seen = [answer.all.toString('latin1'), answer.body.toString('latin1')].map((text) =>
      text.replaceAll(author, ''),
    )
    const forbidden = token === 'team' ? secrets.other : [...secrets.other, ...secrets.private]
    for (const text of seen) {
      for (const one of forbidden) expect(text.includes(one), `${asked} told ${one}`).toBe(false)
      if (token !== 'team')
        expect(text.includes(CANARY), `${asked} told of a canary: ${text.slice(0, 2000)}`).toBe(false)
    }
    // Faces tell some failures of the one who asks as those that their originals know.
    if (answer.status >= 500 && !answer.headers.has('x-blobs-face')) {
      expect(['Unavailable', 'QuotaExceeded', 'NotSupported'], `${asked}: ${seen[0]}`).toContain(
        answer.headers.get('x-blobs-code'),
      )
    }
  }
  return {
    at,
    tokens,
    known: { ...known.json, cursor: known.json.position },
    named: named.json,
    ids: [...ids, known.json.entry, known.json.hash, sha('x')],
    foreignCursor: foreign.json.head,
    foreignUpload: upload.json.blob_id,
    check,
    checkAll: async () => {
      expect((await ask(at.url, '/live')).status).toBe(200)
      expect((await ask(at.url, '/ready')).status).toBe(200)
      expect(await outOfReach(at, root, her)).toEqual(before)
      await readAll(at, tokens.confined, (answer, asked) =>
        expect(String(answer.bytes).includes(CANARY), asked).toBe(false),
      )
      for (const line of at.log) {
        const { status, error, code } = JSON.parse(line) as Record<string, unknown>
        for (const token of Object.values(tokens)) if (token !== '') expect(line).not.toContain(token)
        if (Number(status) >= 500) expect(error, `${String(code)} without a cause: ${line}`).toBeDefined()
      }
    },
    [Symbol.asyncDispose]: async () => {
      await at[Symbol.asyncDispose]()
      await rm(spool, { recursive: true })
    },
  }
}

/** A user of containers whom everybody may be. */
export const ANN = { username: 'ann', email: 'ann@example.org', password: 'known to all' }

async function signIn(at: Running, user: typeof ANN, containers: readonly string[]): Promise<string> {
  const post = (path: string, value: object, token?: string): Promise<Reply> =>
    ask(at.url, path, { method: 'POST', token, body: JSON.stringify(value) })
  await post('/signup', user)
  const { token } = (await post('/login', user)).json as { token: string }
  for (const container_name of containers) {
    expect((await post('/create_container', { container_name }, token)).status).toBe(201)
  }
  return token
}

/** What an attacker may have brought into his own reach. */
async function readAll(at: Running, token: string, check: (answer: Reply, asked: string) => void): Promise<void> {
  const { json } = await ask(at.url, '/v1/buckets/team/blobs?versions', { token })
  for (const { key, version } of json.items as readonly { key: string; version: number }[]) {
    const path = `/v1/buckets/team/blobs/${key.split('/').map(encodeURIComponent).join('/')}?version=${version}`
    check(await ask(at.url, path, { token }), path)
  }
}

/** Everything that no attacker may change. */
async function outOfReach(at: Running, root: string, her: string): Promise<unknown> {
  const hers = ['/list_containers', '/list_blobs?container=box', '/list_blobs?container=hers']
  const seen = await Promise.all(hers.map(async (path) => (await ask(at.url, path, { token: her })).json as unknown))
  const list = async (bucket: string, prefix: string): Promise<unknown> => {
    const query = `prefix=${prefix}&deleted&versions&digests`
    const { json } = await ask(at.url, `/v1/buckets/${bucket}/blobs?${query}`, { token: root })
    return json.items
  }
  const other = await ask(at.url, '/v1/buckets/other', { token: root })
  const tokens = await ask(at.url, '/v1/tokens', { token: root })
  const records = tokens.json.tokens.filter(({ bucket }: { bucket: string }) => bucket === 'other')
  const lists = [
    ['other', ''],
    ['team', 'private/'],
    ['team', 'docs2/'],
    ['u2.box', ''],
  ] as const
  return [seen, other.json, records, ...(await Promise.all(lists.map((one) => list(one[0], one[1]))))]
}
