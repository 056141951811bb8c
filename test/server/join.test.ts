import { describe, expect, it } from 'vitest'
import { openInvitations } from '../../src/access/invitations.ts'
import type { Joined } from '../../src/server/serve.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { ask, type Reply, running, type Running } from './running.ts'

const TEAM = { bucket: 'team', prefix: '' }

async function sharing() {
  const time = { now: clock.now(), elapsed: 0 }
  const invitations = openInvitations({ now: () => time.now, elapsed: () => time.elapsed })
  const joined: Joined[] = []
  const server = await running({ join: { invitations, onJoined: (one) => joined.push(one) } })
  return { server, invitations, time, joined }
}

function join({ url }: Running, body: unknown): Promise<Reply> {
  return ask(url, '/v1/join', { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
}

describe('POST /v1/join', () => {
  it('gives a token for the bucket of the code, without any token', async () => {
    const { server, invitations, joined } = await sharing()
    await using _server = server
    const { code } = invitations.issue(TEAM, 60_000)
    const reply = await join(server, { code, name: 'desktop' })
    expect(reply.status).toBe(201)
    expect(reply.headers['cache-control']).toBe('no-store')
    expect(reply.json).toMatchObject({ bucket: 'team', prefix: '' })
    expect(joined).toEqual([{ name: 'desktop', address: '127.0.0.1', bucket: 'team', id: reply.json.id }])
    const { token } = reply.json
    const put = await ask(server.url, '/v1/buckets/team/blobs/a.txt', { method: 'PUT', token, body: 'a' })
    expect(put.status).toBe(201)
    expect((await ask(server.url, '/v1/buckets/other', { token })).status).toBe(403)
    expect((await ask(server.url, '/v1/buckets/team', { method: 'DELETE', token })).status).toBe(403)
    expect(server.log.join('')).not.toContain(code)
    expect(server.log.join('')).not.toContain(token)
  })

  it('confines the token to the folder of the bucket that is shared', async () => {
    const { server, invitations } = await sharing()
    await using _server = server
    const { code } = invitations.issue({ bucket: 'team', prefix: 'notes' }, 60_000)
    const { json } = await join(server, { code, name: 'desktop' })
    const put = (key: string) =>
      ask(server.url, `/v1/buckets/team/blobs/${key}`, { method: 'PUT', token: json.token, body: 'a' })
    expect((await put('notes/a.txt')).status).toBe(201)
    expect((await put('a.txt')).status).toBe(403)
  })

  it('refuses a code that is spent, expired or unknown, and says which', async () => {
    const { server, invitations, time } = await sharing()
    await using _server = server
    const [spent, late] = [invitations.issue(TEAM, 60_000), invitations.issue(TEAM, 60_000)]
    await join(server, { code: spent.code, name: 'desktop' })
    time.now += 60_000
    const tries = [
      [spent.code, 'used already'],
      [late.code, 'expired'],
      ['x'.repeat(22), 'not known'],
    ] as const
    for (const [code, why] of tries) {
      const reply = await join(server, { code, name: 'desktop' })
      expect([reply.status, reply.json.code]).toEqual([401, 'Unauthenticated'])
      expect(reply.json.detail).toContain(why)
      expect(reply.json.hint).toContain('blobs share')
      expect(reply.text).not.toContain(code)
    }
  })

  it('lets who guesses wait', async () => {
    const { server, invitations } = await sharing()
    await using _server = server
    const { code } = invitations.issue(TEAM, 60_000)
    for (let i = 0; i < 5; i++) await join(server, { code: `${i}`.padEnd(22, 'x'), name: 'desktop' })
    const reply = await join(server, { code, name: 'desktop' })
    expect(reply.status).toBe(503)
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(50)
  })

  it('spends a code for one of many that come at once', async () => {
    const { server, invitations } = await sharing()
    await using _server = server
    const { code } = invitations.issue(TEAM, 60_000)
    const replies = await Promise.all(Array.from({ length: 20 }, () => join(server, { code, name: 'desktop' })))
    expect(replies.filter(({ status }) => status === 201)).toHaveLength(1)
    expect(replies.filter(({ status }) => status === 401)).toHaveLength(19)
  })

  it.each([
    ['no JSON', 'code', 400],
    ['no name', { code: 'x' }, 400],
    ['a name with control characters', { code: 'x', name: 'a\u001b[2J' }, 400],
    ['a code that is no text', { code: 7, name: 'a' }, 400],
    ['something more', { code: 'x', name: 'a', bucket: 'other' }, 400],
    ['a very long body', { code: 'x'.repeat(10_000), name: 'a' }, 413],
  ])('refuses %s', async (_what, body, status) => {
    const { server } = await sharing()
    await using _server = server
    expect((await join(server, body)).status).toBe(status)
  })

  it('is not there without codes, or by another method', async () => {
    await using plain = await running()
    expect((await join(plain, { code: 'x', name: 'a' })).status).toBe(401)
    const { server } = await sharing()
    await using _server = server
    expect((await ask(server.url, '/v1/join')).status).toBe(401)
  })
})
