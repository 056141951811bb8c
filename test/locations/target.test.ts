import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseLocation, parseTarget, showPlace, showTarget } from '../../src/locations/target.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import { keyProblem } from '../../src/store/contract/keys.ts'

const HERE = 'https://here:7420'

function failure(text: string): { code: string; message: string; hint: string } {
  try {
    parseTarget(text, '')
  } catch (error) {
    if (isBlobsError(error)) return { code: error.code, message: error.message, hint: error.hint ?? '' }
    throw error
  }
  throw new Error(`${text} was taken`)
}

describe('what an argument names', () => {
  test.each([
    ['team', HERE, 'team', ''],
    ['team/', HERE, 'team', ''],
    ['team/a/b.txt', HERE, 'team', 'a/b.txt'],
    ['team/a/', HERE, 'team', 'a/'],
    ['team/100%25 ?#.txt', HERE, 'team', '100%25 ?#.txt'],
    ['team/..', HERE, 'team', '..'],
    ['http://host:7420/team/a%20b/%C3%A9', 'http://host:7420', 'team', 'a b/é'],
    ['HTTPS://Host/team', 'https://host', 'team', ''],
    ['https://host:443/team/x/', 'https://host', 'team', 'x/'],
    ['http://[::1]:7420/team/x', 'http://[::1]:7420', 'team', 'x'],
    ['http://host/team/a/../b', 'http://host', 'team', 'a/../b'],
    ['http://host/team/%2e%2e', 'http://host', 'team', '..'],
    ['http://host:7420', 'http://host:7420', '', ''],
    ['http://host:7420/', 'http://host:7420', '', ''],
  ])('%s', (text, location, bucket, key) => {
    expect(parseTarget(text, HERE)).toEqual({ location, bucket, key, text })
  })

  test('a key is brought into the form that keys have', () => {
    expect(parseTarget('team/e\u0301', '').key).toBe('é')
  })

  test.each([
    '',
    '/',
    '/team',
    'T',
    'Team/x',
    'a',
    'team name/x',
    'http:///team',
    'http://host/team/%zz',
    'http://host/team?x',
    'http://host/team#x',
    'http://u:p@host/team',
    'ftp://host/team',
  ])('%j is a usage error', (text) => {
    expect(failure(text).code).toBe('InvalidRequest')
  })

  test.each(['team//x', 'team/a//b', 'team/x//', `team/${'x'.repeat(1025)}`, 'team/a\0b', 'http://host/team/%00'])(
    '%j is no key',
    (text) => {
      expect(failure(text)).toMatchObject({ code: 'InvalidKey' })
    },
  )

  test.each([
    ['folder:///mnt/share', 'folder:///mnt/share', '', ''],
    ['folder:///mnt/share/', 'folder:///mnt/share', '', ''],
    ['folder:///mnt/a%20b//team/x%3Fy/z', 'folder:///mnt/a%20b', 'team', 'x?y/z'],
    ['folder://localhost/team/x', 'folder://localhost', 'team', 'x'],
    ['folder://HOST/team/x?b=2&a=1', 'folder://host?a=1&b=2', 'team', 'x'],
    ['folder://host/deep/er//team?a=1', 'folder://host/deep/er?a=1', 'team', ''],
  ])('%s is read in its parts', (text, location, bucket, key) => {
    const target = parseTarget(text, '')
    expect(target).toMatchObject({ location, bucket, key })
    if (bucket !== '') expect(parseTarget(showTarget(target, key), '')).toMatchObject({ location, bucket, key })
  })

  test('a kind of place that there is none of, and the message says what works', () => {
    const { code, message, hint } = failure('gopher://b/x')
    expect(code).toBe('InvalidRequest')
    expect(message).toContain('gopher')
    expect(hint).toContain('docs/backends.md')
  })

  test('a password in a URL is never repeated', () => {
    for (const text of [
      'http://u:hunter2@host/team',
      'folder://u:hunter2@b/x',
      'http://u:hunter2@host/%zz',
      'x://u:hunter2@h',
    ]) {
      expect(JSON.stringify(failure(text))).not.toContain('hunter2')
    }
  })

  test('what is shown leads back to the same key', () => {
    const key = fc
      .string({ unit: 'grapheme', maxLength: 60 })
      .map((text) => text.normalize('NFC'))
      .filter((text) => keyProblem(text) === null)
    fc.assert(
      fc.property(key, fc.constantFrom('', 'http://host:7420'), (name, location) => {
        const shown = showTarget({ location, bucket: 'team' }, name)
        expect(parseTarget(shown, '')).toMatchObject({ location, bucket: 'team', key: name })
      }),
    )
  })
})

describe('a server by itself', () => {
  test('is its origin', () => {
    expect(parseLocation('http://Host:7420/', 'BLOBS_SERVER')).toBe('http://host:7420')
  })

  test.each(['host:7420', 'http://host/team', 'http://u:p@host', ''])(
    '%j is a usage error that says where it was written',
    (text) => {
      expect(() => parseLocation(text, 'BLOBS_SERVER')).toThrow(text === 'http://u:p@host' ? /host/ : /BLOBS_SERVER/)
    },
  )
})

test.each([
  ['https://host:7420'],
  ['folder:///mnt/share'],
  ['s3://store?endpoint=http%3A%2F%2Fhost'],
  ['s3://store/deep/er?endpoint=http%3A%2F%2Fhost'],
])('the place %s is written so that it is read as the same', (location) => {
  expect(parseTarget(showPlace(location), HERE)).toMatchObject({ location, bucket: '' })
})
