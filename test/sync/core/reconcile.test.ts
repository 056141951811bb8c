import { describe, expect, test } from 'vitest'
import { decide, historyAfter, needsFolder, sameContent } from '../../../src/sync/core/reconcile.ts'
import type { Content, Expectation, Row, Step } from '../../../src/sync/core/types.ts'
import { FOLDER, row } from './rows.ts'

/** A step as a line of text, so that the table reads as the policy does. */
function told(step: Step | null): string {
  if (step === null) return 'nothing'
  switch (step.type) {
    case 'record':
      return step.base === null ? 'forget' : `record ${name(step.base)}@${step.base.version}`
    case 'upload':
      return `upload ${name(step.local)} over ${expectation(step.expect)}`
    case 'delete-remote':
      return `delete remote ${expectation(step.expect)}`
    case 'download':
      return `download ${name(step.remote)}@${step.remote.version} over ${step.replaces === null ? 'nothing' : name(step.replaces)}`
    case 'delete-local':
      return `delete local ${name(step.replaces)}`
    case 'conflict':
      return `sibling ${name(step.local)}, then ${step.remote === null ? 'make way' : `${name(step.remote)}@${step.remote.version}`}`
    case 'skip':
      return `skip ${step.reason}`
  }
}
function name(content: Content): string {
  if (content.kind === 'folder') return '/'
  return String.fromCodePoint(Number.parseInt(content.hash.slice(0, 2), 16)) + (content.executable ? 'x' : '')
}
/** By bytes alone: an expectation does not name the mode. */
function expectation(expect: Expectation): string {
  if (expect === 'absent') return 'absent'
  if (expect.hash.startsWith('entry')) return `†@${expect.version}`
  return `${expect.hash === FOLDER.hash ? '/' : name({ ...FOLDER, kind: 'file', hash: expect.hash })}@${expect.version}`
}

// case | base local remote flags | what is done
const FILES = `
never anywhere                                  | -   -     -            | nothing
created here                                    | -   A     -            | upload A over absent
created there                                   | -   -     A@1          | download A@1 over nothing
created on both, same bytes                     | -   A     A@1          | record A@1
created on both, same bytes, executable here    | -   Ax    A@1          | download A@1 over Ax
created on both, same bytes, executable there   | -   A     Ax@1         | download Ax@1 over A
created on both, different bytes                | -   B     A@1          | sibling B, then A@1
no base, here an older version                  | -   A     C@3   old    | download C@3 over A
no base, here an older version, executable      | -   Ax    C@3   old    | download C@3 over Ax
no base, here newer than anything there         | -   B     C@3          | sibling B, then C@3
no base, deleted there, absent here             | -   -     †@2          | nothing
no base, deleted there, present here            | -   A     †@2          | upload A over †@2
no base, deleted there, an older version here   | -   A     †@2   old    | upload A over †@2
in sync                                         | A@1 A     A@1          | nothing
in sync, executable                             | Ax@1 Ax   Ax@1         | nothing
touched there: a new version of the same        | A@1 A     A@2          | record A@2
edited here                                     | A@1 B     A@1          | upload B over A@1
edited here, touched there                      | A@1 B     A@2          | upload B over A@2
edited there                                    | A@1 A     B@2          | download B@2 over A
edited on both, same bytes                      | A@1 B     B@2          | record B@2
edited on both, different bytes                 | A@1 B     C@2          | sibling B, then C@2
edited here to an old version: an edit stands   | A@2 B     A@2   old    | upload B over A@2
fetched, not written down, edited there since   | A@1 B     C@3   old    | download C@3 over B
edited there, back to an old version            | B@2 B     A@3          | download A@3 over B
deleted here                                    | A@1 -     A@1          | delete remote A@1
deleted here, touched there                     | A@1 -     A@2          | delete remote A@2
deleted here, edited there                      | A@1 -     B@2          | download B@2 over nothing
deleted here, mode changed there                | A@1 -     Ax@2         | download Ax@2 over nothing
deleted there                                   | A@1 A     †@2          | delete local A
deleted there, edited here                      | A@1 B     †@2          | upload B over †@2
deleted there, mode changed here                | A@1 Ax    †@2          | upload Ax over †@2
fetched, not written down, deleted there since  | A@1 B     †@3   old    | delete local B
deleted there and made anew, the same           | A@1 A     A@3          | record A@3
deleted there and made anew, other bytes        | A@1 A     B@3          | download B@3 over A
deleted there and made anew, edited here        | A@1 C     B@3          | sibling C, then B@3
deleted on both                                 | A@1 -     †@2          | forget
`
const MODES = `
made executable here                            | A@1 Ax    A@1          | upload Ax over A@1
made executable there                           | A@1 A     Ax@2         | download Ax@2 over A
made plain here                                 | Ax@1 A    Ax@1         | upload A over A@1
made executable on both                         | A@1 Ax    Ax@2         | record Ax@2
edited on both to the same bytes, other mode    | A@1 Bx    B@2          | download B@2 over Bx
mode changed here, new bytes there              | A@1 Ax    B@2          | download B@2 over Ax
new bytes here, mode changed there              | A@1 B     Ax@2         | upload B over A@2
both edited, one with a mode                    | A@1 Bx    C@2          | sibling Bx, then C@2
`
const UNKNOWN = `
busy here, never there                          | -   ?busy -            | skip busy
busy here, new there                            | -   ?busy A@1          | skip busy
busy here, both agreed                          | A@1 ?busy A@1          | skip busy
changing here, edited there                     | A@1 ?changing B@2      | skip changing
unreadable here, deleted there                  | A@1 ?unreadable †@2    | skip unreadable
a link where a file was                         | A@1 ?symlink A@1       | skip symlink
on another device, never was there              | A@1 ?other-device -    | skip other-device
unknown and unfit                               | -   ?busy A@1 unfit:name-reserved | skip busy
`
const UNFIT = `
a name this disk cannot hold                    | -   -     A@1 unfit:name-reserved | skip name-reserved
clashing, never was here                        | -   -     A@1 unfit:name-clash    | skip name-clash
unfit, was here once, gone here                 | A@1 -     A@1 unfit:name-clash    | skip name-clash
unfit, was here once, edited there              | A@1 -     B@2 unfit:name-clash    | skip name-clash
unfit, deleted there, gone here                 | A@1 -     †@2 unfit:name-clash    | forget
unfit, deleted there, never was here            | -   -     †@2 unfit:name-clash    | nothing
unfit, forgotten by the bucket                  | A@1 -     -   unfit:name-clash    | forget
unfit, present here                             | -   A     -   unfit:name-reserved | skip name-reserved
unfit, present here, deleted there              | A@1 A     †@2 unfit:name-reserved | skip name-reserved
unfit, and a folder below                       | -   -     A@1 below unfit:name-reserved | skip name-reserved
`
const RESTORED = `
server lost the path, present here              | A@3 A     -            | upload A over absent
server lost the path, edited here               | A@3 B     -            | upload B over absent
server lost the path, absent here               | A@3 -     -            | forget
server went back, other bytes there             | B@3 B     A@1          | sibling B, then A@1
server went back, edited here                   | B@3 C     A@1          | sibling C, then A@1
server went back, here what it went back to     | B@3 A     A@1          | record A@1
server went back, here older still              | C@3 A     B@2   old    | download B@2 over A
server went back, same bytes                    | A@3 A     A@1          | record A@1
server went back, same bytes, edited here       | A@3 B     A@1          | upload B over A@1
server went back, same bytes, deleted here      | A@3 -     A@1          | download A@1 over nothing
server went back, other bytes, deleted here     | B@3 -     A@1          | download A@1 over nothing
server went back, other mode                    | Ax@3 Ax   A@1          | download A@1 over Ax
same version means something else, same here    | A@3 A     B@3          | sibling A, then B@3
same version means something else, deleted here | A@3 -     B@3          | download B@3 over nothing
tombstone older than the base, present here     | A@3 A     †@2          | upload A over †@2
tombstone of the base's number, present here    | A@3 A     †@3          | upload A over †@3
tombstone older than the base, edited here      | A@3 B     †@2          | upload B over †@2
tombstone older than the base, absent here      | A@3 -     †@2          | forget
`
const FILE_AND_FOLDER = `
both in the bucket, nothing here                | -   -     A@1 below        | skip file-and-folder
both in the bucket, the folder here             | -   -     A@1 below folder | skip file-and-folder
both in the bucket, file here in sync           | A@1 A     A@1 below        | delete local A
both in the bucket, file here equal, no base    | -   A     A@1 below        | delete local A
both in the bucket, file here equal but mode    | A@1 Ax    A@1 below        | delete local Ax
both in the bucket, file edited there           | A@1 A     B@2 below        | delete local A
both in the bucket, file here old               | -   A     B@2 below old    | delete local A
both in the bucket, file here unsynced          | -   B     A@1 below        | sibling B, then make way
both in the bucket, file edited here            | A@1 B     A@1 below        | sibling B, then make way
both in the bucket, the server went back        | B@3 B     A@1 below        | sibling B, then make way
folder there, file created here                 | -   A     -   below        | sibling A, then make way
folder there, file here, lost there             | A@1 A     -   below        | sibling A, then make way
file became a folder there                      | A@1 A     †@2 below        | delete local A
file became a folder there, edited here         | A@1 B     †@2 below        | sibling B, then make way
file became a folder there, no base             | -   A     †@2 below old    | sibling A, then make way
file became a folder there, absent here         | A@1 -     †@2 below        | forget
both in the bucket, file gone here: no deletion | A@1 -     A@1 below        | forget
both in the bucket, folder here: no deletion    | A@1 -     A@1 below folder | forget
folder there, nothing else                      | -   -     -   below        | nothing
file replaced by a folder here                  | A@1 -     A@1 folder       | delete remote A@1
file replaced by a folder here, touched there   | A@1 -     A@2 folder       | delete remote A@2
file replaced by a folder here, edited there    | A@1 -     B@2 folder       | forget
 … and in the next round                        | -   -     B@2 folder       | skip file-and-folder
file replaced by a folder here, server restored | A@3 -     A@1 folder       | forget
file replaced by a folder here, deleted there   | A@1 -     †@2 folder       | forget
folder here, file deleted there long ago        | -   -     †@2 folder       | nothing
folder here, file created there                 | -   -     A@1 folder       | skip file-and-folder
`
const MARKERS = `
folder created here                             | -   /     -          | upload / over absent
folder created there                            | -   -     /@1        | download /@1 over nothing
folder on both                                  | -   /     /@1        | record /@1
folder in sync                                  | /@1 /     /@1        | nothing
folder marked again there                       | /@1 /     /@2        | record /@2
folder deleted here                             | /@1 -     /@1        | delete remote /@1
folder deleted here, something new below there  | /@1 -     /@1 below  | download /@1 over nothing
folder deleted there                            | /@1 /     †@2        | delete local /
folder deleted there, something new below there | /@1 /     †@2 below  | forget
folder deleted on both                          | /@1 -     †@2        | forget
folder deleted there, no base                   | -   /     †@2        | upload / over †@2
folder emptied here, something else below there | -   /     -   below  | nothing
folder no longer empty here                     | /@1 -     /@1 folder | nothing
folder no longer empty here, marked there       | -   -     /@1 folder | record /@1
folder no longer empty here, unmarked there     | /@1 -     †@2 folder | forget
folder not empty, never marked                  | -   -     -   folder | nothing
folder lost by the server                       | /@1 /     -          | upload / over absent
folder lost by the server, gone here            | /@1 -     -          | forget
server went back, folder gone here              | /@3 -     /@1        | download /@1 over nothing
tombstone older than the base                   | /@3 /     †@2        | upload / over †@2
unreadable folder                               | /@1 ?unreadable /@1  | skip unreadable
`
const SENSELESS = `
a folder at a file's key here                   | -   /     -          | skip file-and-folder
a folder at a file's key there                  | -   -     /@1        | skip file-and-folder
`

function cases(table: string): [string, string, string][] {
  const lines = table.trim().split('\n')
  return lines.map((line) => line.split('|').map((cell) => cell.trim()) as [string, string, string])
}

describe.each([
  ['files', 'a', FILES],
  ['modes', 'a', MODES],
  ['what cannot be judged now', 'a', UNKNOWN],
  ['what this disk cannot hold', 'a', UNFIT],
  ['a server that went back in time', 'a', RESTORED],
  ['a file where a folder is', 'a', FILE_AND_FOLDER],
  ['folder markers', 'a/', MARKERS],
  ['kinds that do not suit the path', 'a', SENSELESS],
])('%s', (_room, path, table) => {
  test.each(cases(table))('%s: %s → %s', (_name, line, outcome) => {
    expect(told(decide(row(path, line)))).toBe(outcome)
  })
})

test("a blob with bytes at a marker's key is listed, not touched", () => {
  expect(told(decide(row('a/', '- - A@1')))).toBe('skip file-and-folder')
  expect(told(decide(row('a/', '- A -')))).toBe('skip file-and-folder')
})

describe('every combination', () => {
  const bases = ['-', 'A@2', 'Ax@2', 'B@2']
  const locals = ['-', '?busy', 'A', 'Ax', 'B', 'Bx', 'C']
  const remotes = [
    '-',
    ...['A', 'Ax', 'B', 'C', '†'].flatMap((name) => [1, 2, 3].map((version) => `${name}@${version}`)),
  ]
  const flags = [
    '',
    'below',
    'folder',
    'old',
    'below old',
    'unfit:name-clash',
    'below folder',
    'unfit:name-clash below',
  ]
  const rows = bases.flatMap((b) =>
    locals.flatMap((l) => remotes.flatMap((r) => flags.map((f) => row('a', `${b} ${l} ${r} ${f}`)))),
  )

  test('has an answer', () => {
    expect(rows.length).toBe(4 * 7 * 16 * 8)
    for (const each of rows) expect(() => decide(each), JSON.stringify(each)).not.toThrow()
  })

  test('takes bytes off the disk only when the bucket has them, or after making a sibling', () => {
    for (const each of rows) {
      const step = decide(each)
      if (step === null || !('replaces' in step) || step.replaces === null) continue
      expect(bucketHas(each, step.replaces), JSON.stringify(each)).toBe(true)
    }
  })

  test('deletes in the bucket only what was in sync, is unchanged there and proved absent here', () => {
    for (const each of rows) {
      if (decide(each)?.type !== 'delete-remote') continue
      const { base, local, remote, unfit, remoteBelow } = each
      expect(base !== null && remote !== null && remote.kind !== 'deleted').toBe(true)
      if (base === null || remote === null || remote.kind === 'deleted') continue
      expect([local, unfit, remoteBelow, sameContent(base, remote), remote.version >= base.version]).toEqual([
        null,
        null,
        false,
        true,
        true,
      ])
    }
  })

  test('deletes on disk only after a tombstone newer than the base, or to make way', () => {
    for (const each of rows) {
      const step = decide(each)
      if (step?.type !== 'delete-local' || each.remoteBelow) continue
      expect(each.remote?.kind).toBe('deleted')
      expect((each.remote?.version ?? 0) > (each.base?.version ?? Infinity)).toBe(true)
    }
  })

  test('never takes equal bytes, or absence, for a conflict', () => {
    for (const each of rows) {
      const step = decide(each)
      if (step?.type !== 'conflict') continue
      expect(each.local).not.toBeNull()
      if (each.remote !== null && each.remote.kind !== 'deleted') expect(step.local.hash).not.toBe(each.remote.hash)
    }
  })

  test('sends nothing that does not say what it replaces', () => {
    for (const each of rows) {
      const step = decide(each)
      if (step?.type !== 'upload' && step?.type !== 'delete-remote') continue
      const { remote } = each
      const expected =
        remote === null
          ? 'absent'
          : { version: remote.version, hash: remote.kind === 'deleted' ? remote.entry : remote.hash }
      expect(step.expect).toEqual(expected)
    }
  })

  test('asks the history just where the answer matters', () => {
    for (const each of rows) {
      if (each.unfit !== null) continue
      const matters =
        JSON.stringify(decide({ ...each, localIsOldVersion: true })) !==
        JSON.stringify(decide({ ...each, localIsOldVersion: false }))
      if (matters) expect(historyAfter(each), JSON.stringify(each)).not.toBeNull()
    }
    expect(historyAfter(row('a', '- A B@2'))).toBe(0)
    expect(historyAfter(row('a', 'A@1 B C@3'))).toBe(1)
    expect(historyAfter(row('a', 'A@1 B †@3'))).toBe(1)
    expect(historyAfter(row('a', 'A@1 A B@3'))).toBeNull()
    expect(historyAfter(row('a', 'A@1 B A@3'))).toBeNull()
    expect(historyAfter(row('a', '- A A@2'))).toBeNull()
    expect(historyAfter(row('a', '- A †@2'))).toBeNull()
    expect(historyAfter(row('a', '- A †@2 below'))).toBeNull()
  })

  test('treats both sides alike where the modes are two-way: swapping them swaps the step', () => {
    for (const b of bases.slice(1)) {
      for (const [l, r] of pairs(['-', 'A', 'Ax', 'B', 'Bx', 'C'])) {
        const there = decide(row('a', `${b} ${l} ${r === '-' ? '†' : r}@3`))
        const here = decide(row('a', `${b} ${r} ${l === '-' ? '†' : l}@3`))
        // Equal new bytes with different modes: someone must win, and it is the server on either side.
        if (l !== '-' && r !== '-' && l[0] === r[0] && l !== r && l[0] !== b[0]) continue
        expect(mirrored(there), `${b} ${l} ${r}`).toBe(here?.type ?? 'nothing')
      }
    }
  })
})

function bucketHas(each: Row, replaced: Content): boolean {
  const { base, remote } = each
  const live = remote !== null && remote.kind !== 'deleted'
  if (live && remote.hash === replaced.hash) return true
  if (each.localIsOldVersion && (live || base !== null)) return true
  return base !== null && remote !== null && remote.version >= base.version && base.hash === replaced.hash
}

function pairs(names: readonly string[]): [string, string][] {
  return names.flatMap((l) => names.map((r): [string, string] => [l, r]))
}

function mirrored(step: Step | null): string {
  const mirror: Record<string, string> = {
    upload: 'download',
    download: 'upload',
    'delete-local': 'delete-remote',
    'delete-remote': 'delete-local',
  }
  return step === null ? 'nothing' : (mirror[step.type] ?? step.type)
}

describe('a row needs a folder above it', () => {
  test.each([
    ['new in the bucket', '- - A@1', true],
    ['in sync', 'A@1 A A@1', true],
    ['deleted here', 'A@1 - A@1', false],
    ['deleted here, edited there', 'A@1 - B@2', true],
    ['deleted there', 'A@1 A †@2', false],
    ['only here', '- A -', false],
    ['not for this disk', '- - A@1 unfit:name-reserved', false],
  ])('%s: %s → %s', (_name, line, outcome) => {
    expect(needsFolder(row('d/a', line))).toBe(outcome)
  })
})
