import { expect, it } from 'vitest'
import { CODE, openInvitations } from '../../src/access/invitations.ts'

const TEAM = { bucket: 'team', prefix: '' }
const FROM = '192.0.2.7'

function opened() {
  const time = { now: 1_000_000, elapsed: 0 }
  const invitations = openInvitations({ now: () => time.now, elapsed: () => time.elapsed })
  const pass = (milliseconds: number): void => {
    time.now += milliseconds
    time.elapsed += milliseconds
  }
  return { invitations, time, pass }
}

it('a code works once', () => {
  const { invitations } = opened()
  const { code, expires } = invitations.issue(TEAM, 60_000)
  expect(code).toMatch(CODE)
  expect(expires).toBe(1_060_000)
  expect(invitations.redeem(code, FROM)).toEqual({ ok: true, invited: TEAM })
  expect(invitations.redeem(code, FROM)).toEqual({ ok: false, reason: 'spent' })
})

it('each code is for what it was made for', () => {
  const { invitations } = opened()
  const first = invitations.issue(TEAM, 60_000)
  const second = invitations.issue({ bucket: 'team', prefix: 'notes' }, 60_000)
  expect(first.code).not.toBe(second.code)
  expect(invitations.redeem(second.code, FROM)).toMatchObject({ invited: { prefix: 'notes' } })
  expect(invitations.redeem(first.code, FROM)).toMatchObject({ invited: { prefix: '' } })
})

it('a code ends with its time, which is 10 minutes at most', () => {
  const { invitations, pass } = opened()
  const short = invitations.issue(TEAM, 60_000)
  const long = invitations.issue(TEAM, 24 * 3600_000)
  expect(long.expires).toBe(1_600_000)
  pass(59_999)
  const last = invitations.issue(TEAM, 60_000)
  expect(invitations.redeem(short.code, FROM).ok).toBe(true)
  pass(60_000)
  expect(invitations.redeem(last.code, FROM)).toEqual({ ok: false, reason: 'expired' })
  pass(480_001)
  expect(invitations.redeem(long.code, FROM)).toEqual({ ok: false, reason: 'expired' })
})

it.each([
  ['a clock that is set back', (time: { now: number; elapsed: number }) => (time.elapsed += 60_000)],
  ['a machine that sleeps', (time: { now: number; elapsed: number }) => (time.now += 60_000)],
])('%s makes no code last longer', (_what, change) => {
  const { invitations, time } = opened()
  const { code } = invitations.issue(TEAM, 60_000)
  change(time)
  expect(invitations.redeem(code, FROM)).toEqual({ ok: false, reason: 'expired' })
})

it('who tries five wrong codes waits a minute, also with the right one; others do not', () => {
  const { invitations, pass } = opened()
  const { code } = invitations.issue(TEAM, 300_000)
  for (let i = 0; i < 5; i++) {
    expect(invitations.redeem(`${i}`.padEnd(22, 'x'), FROM)).toEqual({ ok: false, reason: 'unknown' })
  }
  pass(20_000)
  expect(invitations.redeem(code, FROM)).toEqual({ ok: false, reason: 'too-many-tries', retryIn: 40_000 })
  expect(invitations.redeem(code.slice(1), '192.0.2.8')).toEqual({ ok: false, reason: 'unknown' })
  pass(40_000)
  expect(invitations.redeem(code, FROM).ok).toBe(true)
})

it('remembers no more addresses and codes than it must', () => {
  const { invitations } = opened()
  const first = invitations.issue(TEAM, 60_000)
  for (let i = 0; i < 1200; i++) {
    invitations.issue(TEAM, 60_000)
    invitations.redeem('x'.repeat(22), `192.0.${i >> 8}.${i & 255}`)
  }
  expect(invitations.redeem(first.code, FROM)).toEqual({ ok: false, reason: 'unknown' })
})
