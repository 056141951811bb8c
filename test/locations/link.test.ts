import { assert, integer, option, property, uint8Array } from 'fast-check'
import { expect, it } from 'vitest'
import { formatLink, parseLink } from '../../src/locations/link.ts'

const CODE = 'Zk3nYw0q0u9yqvVjJpX0Bg'
const PROOF = 'JdDmEX8v78NkDClpbLbkN18hUm8ZbAc9bZ17iX9Rd6Q'
const FINGERPRINT = Buffer.from(PROOF, 'base64url').toString('hex')

it('a link is what formatLink made', () => {
  const hex = uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes).toString('hex'))
  const code = uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('base64url'))
  assert(
    property(option(hex), code, integer({ min: 1, max: 65_535 }), (fingerprint, code, port) => {
      const link = { origin: new URL(`https://10.0.0.5:${port}`).origin, bucket: 'notes', code, fingerprint }
      expect(parseLink(formatLink(link))).toEqual(link)
    }),
  )
})

it.each([
  [`https://host:7420/notes#${CODE}`, { origin: 'https://host:7420', fingerprint: null }],
  [`https://host:7420/notes#${CODE}.${PROOF}`, { origin: 'https://host:7420', fingerprint: FINGERPRINT }],
  [` HTTPS://Host/notes#${CODE} `, { origin: 'https://host', fingerprint: null }],
  [`https://[2001:db8::5]:7420/notes#${CODE}`, { origin: 'https://[2001:db8::5]:7420', fingerprint: null }],
  [`http://127.0.0.1:7420/notes#${CODE}`, { origin: 'http://127.0.0.1:7420', fingerprint: null }],
])('reads %s', (text, expected) => {
  expect(parseLink(text)).toEqual({ bucket: 'notes', code: CODE, ...expected })
})

it.each([
  ['notes', 'not a link'],
  ['s3://host/notes#x', 'not a link'],
  [`https://me:secret@host/notes#${CODE}`, 'not a link'],
  [`https://host/notes?x=1#${CODE}`, 'not a link'],
  ['https://host/notes', 'no code'],
  ['https://host/notes#', 'no code'],
  ['https://host/notes#abc', 'not whole'],
  [`https://host/notes#${CODE}x`, 'not whole'],
  [`https://host/notes#${CODE}.abc`, 'fingerprint'],
  [`https://host/notes#${CODE}.${PROOF}.x`, 'not whole'],
  [`https://host/#${CODE}`, 'bucket'],
  [`https://host/notes/more#${CODE}`, 'bucket'],
  [`http://127.0.0.1/notes#${CODE}.${PROOF}`, 'no https'],
])('%s is refused as usage, without its code', (text, why) => {
  expect(() => parseLink(text)).toThrowError(expect.objectContaining({ code: expect.stringMatching(/^Invalid/) }))
  expect(() => parseLink(text)).toThrowError(why)
  expect(() => parseLink(text)).not.toThrowError(CODE)
})

it('a code is not sent in the clear beyond this machine', () => {
  expect(() => parseLink(`http://10.0.0.5:7420/notes#${CODE}`)).toThrowError(
    expect.objectContaining({ code: 'Refused' }),
  )
})
