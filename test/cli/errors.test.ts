import { Parser } from '@oclif/core'
import { describe, expect, test } from 'vitest'
import { errorJson, errorText, Interrupted, PartialFailure, viewError } from '../../src/cli/errors.ts'
import { BlobsError, type ErrorCode } from '../../src/store/contract/errors.ts'
import type { BlobInfo } from '../../src/store/contract/types.ts'

const NOW = Date.UTC(2026, 6, 28, 12, 0, 0)
const view = (error: unknown): ReturnType<typeof viewError> => viewError(error, NOW, 'put')

const CODES: readonly (readonly [ErrorCode, number])[] = [
  ['NotFound', 6],
  ['VersionConflict', 7],
  ['AlreadyExists', 7],
  ['Unauthenticated', 4],
  ['Forbidden', 5],
  ['Unavailable', 8],
  ['Corrupt', 9],
  ['TooLarge', 10],
  ['QuotaExceeded', 10],
  ['NotSupported', 1],
  ['CursorExpired', 1],
  ['CursorForked', 1],
  ['InvalidKey', 2],
  ['InvalidRequest', 2],
  ['Refused', 12],
]

function errno(code: string, path?: string): Error {
  return Object.assign(new Error(`${code}: something, open '${path ?? ''}'`), { code, errno: -1, path })
}

describe('exit codes', () => {
  test.each(CODES)('%s ends with %d', (code, exitCode) => {
    expect(view(new BlobsError(code, 'x')).exitCode).toBe(exitCode)
  })

  test.each([
    ['ENOENT', 6],
    ['EACCES', 1],
    ['EPERM', 1],
    ['ENOSPC', 10],
    ['EDQUOT', 10],
    ['EISDIR', 2],
    ['EIO', 1],
    ['ECONNREFUSED', 8],
    ['SQLITE_BUSY', 8],
    ['SQLITE_FULL', 10],
  ])('%s of the system ends with %d', (code, exitCode) => {
    expect(view(errno(code, '/a/b')).exitCode).toBe(exitCode)
  })

  test('an interrupted command ends with 130, a terminated one with 143', () => {
    expect(view(new Interrupted('SIGINT')).exitCode).toBe(130)
    expect(view(new Interrupted('SIGTERM')).exitCode).toBe(143)
  })

  test('a usage error of oclif ends with 2 and points to the help of its command', async () => {
    const error: unknown = await Parser.parse(['--nope'], { flags: {}, args: {} }).catch((thrown: unknown) => thrown)
    expect(view(error)).toMatchObject({
      code: 'Usage',
      exitCode: 2,
      hint: 'blobs put --help',
      message: 'there is no flag --nope',
    })
  })

  test.each([
    new Error('x'),
    'text',
    null,
    undefined,
    { code: 'ENOENT' },
    Object.assign(new Error('x'), { code: 'weird' }),
  ])('anything else ends with 1: %j', (thrown) => {
    expect(view(thrown)).toMatchObject({ code: 'Internal', exitCode: 1 })
  })
})

describe('what failed in part', () => {
  const gone = new BlobsError('NotFound', 'gone')
  const late = new BlobsError('Unavailable', 'late')
  test.each([
    ['some done, some failed', [gone], 2, 3],
    ['all failed for one cause', [gone, gone], 0, 6],
    ['all failed for several causes', [gone, late], 0, 3],
    ['the only one failed', [late], 0, 8],
  ])('%s', (_, errors, done, exitCode) => {
    const failures = errors.map((error) => ({ name: 'x', error }))
    expect(view(new PartialFailure(failures, done)).exitCode).toBe(exitCode)
  })
})

describe('messages', () => {
  const current: BlobInfo = {
    bucket: 'team',
    key: 'report.pdf',
    version: 5,
    size: 3,
    hash: 'f'.repeat(64),
    contentType: 'application/pdf',
    modified: new Date(NOW - 120_000).toISOString(),
    deleted: false,
    meta: {},
    position: 'e:1:i',
    entry: 'i',
    author: '',
    device: 'laptop',
  }
  const conflict = (over: Partial<BlobInfo> | null, expected: unknown): string => {
    const conflicts = [{ key: 'report.pdf', expected: expected as never, current: over && { ...current, ...over } }]
    return view(new BlobsError('VersionConflict', 'x', { bucket: 'team', conflicts })).message
  }

  test('a conflict says what stands there now, since when and by whom', () => {
    expect(conflict({}, { version: 3 })).toBe(
      'team/report.pdf is at version 5 (yours was 3), changed 2 min ago by laptop',
    )
    expect(conflict({}, 'absent')).toBe('team/report.pdf already exists at version 5, changed 2 min ago by laptop')
    expect(conflict({ device: '', author: 'ada' }, { version: 3 })).toContain('by ada')
    expect(conflict(null, { version: 3 })).toBe('team/report.pdf does not exist (yours was version 3)')
    expect(conflict({ deleted: true }, { version: 3 })).toBe(
      'team/report.pdf was deleted 2 min ago by laptop (yours was version 3, the deletion is 5)',
    )
  })

  test('the text is what happened and, after an arrow, what to do', () => {
    const error = new BlobsError('NotFound', 'there is no bucket teem', { hint: 'did you mean team?' })
    expect(errorText(view(error))).toBe('not found: there is no bucket teem\n→ did you mean team?')
  })

  test('an error of the system names the path and says it in words', () => {
    expect(errorText(view(errno('EACCES', '/a/b')))).toBe(
      'error: /a/b: permission denied\n→ check the permissions (ls -l)',
    )
  })

  test('the JSON document has code, message, hint, exitCode, retryable, and key and current where there are any', () => {
    const conflicts = [{ key: 'report.pdf', expected: 'absent' as const, current }]
    const document = errorJson(
      view(new BlobsError('VersionConflict', 'x', { bucket: 'team', conflicts, hint: 'look' })),
    )
    expect(Object.keys(document).sort()).toEqual(['code', 'current', 'exitCode', 'hint', 'key', 'message', 'retryable'])
    expect(document).toMatchObject({ key: 'report.pdf', current: { version: 5 }, exitCode: 7, retryable: false })
  })

  test('a token never gets into a message', () => {
    const token = 'eyJhbGciOiJIUzI1NiJ9.eyJidWNrZXQiOiJ0ZWFtIn0.c2lnbmF0dXJl'
    for (const error of [new Error(`bad ${token}`), new BlobsError('Forbidden', token, { hint: token })]) {
      expect(JSON.stringify(view(error))).not.toContain('eyJ')
    }
  })

  test('control characters of a stranger do not reach the terminal', () => {
    expect(view(new BlobsError('NotFound', 'no \u001b[31mred\u0007\n')).message).toBe('no \\u001b[31mred\\u0007\\n')
  })
})
