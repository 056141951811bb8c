import { expect, test } from 'vitest'
import { explain } from '../../../src/sync/core/reasons.ts'
import type { Reason } from '../../../src/sync/core/types.ts'

const REASONS: { readonly [R in Reason]: true } = {
  symlink: true,
  'special-file': true,
  unreadable: true,
  'name-not-unicode': true,
  'name-too-long': true,
  'name-reserved': true,
  'name-clash': true,
  'file-and-folder': true,
  busy: true,
  changing: true,
  'other-device': true,
  'not-writable': true,
  'disk-full': true,
  'too-large': true,
  forbidden: true,
  'download-failed': true,
  'upload-failed': true,
  'waiting-for-approval': true,
}

test.each(Object.keys(REASONS) as Reason[])(
  '%s is explained by a sentence, with a next step that names the path',
  (reason) => {
    const { reason: why, remedy } = explain(reason, 'some/path')
    for (const line of [why, remedy]) {
      expect(line).toMatch(/^[A-Z].*\.$/)
      expect(line).not.toContain('\n')
    }
    expect(remedy).toContain('some/path')
  },
)
