import * as fs from 'node:fs'
import { dirname } from 'node:path'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/platform/system.ts'
import type { DiskWork } from '../../../src/sync/disk/transition.ts'
import { faultyDisk } from './faulty-disk.ts'
import { disk, short, testFolder, type TestFolder } from './folder.ts'
import { conflict, contents, download, file, folderComes, openTestDisk, removal, split } from './steps.ts'

const quick = faultyDisk(Infinity, 'EIO')
const later = { ...systemClock, now: () => Date.now() + 60_000 }
const PATHS = ['a', 'a/b', 'a/b/c', 'a/d', 'e', 'e/\u00e9', 'x/y/z', 'x/y'] as const
const path = fc.constantFrom(...PATHS)

type UserAct = {
  readonly path: string
  readonly act: 'write' | 'remove' | 'folder' | 'link' | 'chmod' | 'touch' | 'decomposed'
}
const userAct: fc.Arbitrary<UserAct> = fc.record({
  path,
  act: fc.constantFrom('write', 'write', 'write', 'remove', 'folder', 'link', 'chmod', 'touch', 'decomposed'),
})

/** What a user does; every text is written once, so that each can be found again. */
function doAct(folder: TestFolder, { path: name, act }: UserAct, text: string): void {
  const at = folder.at(act === 'decomposed' ? name.normalize('NFD') : name)
  const stat = disk.lstat(at)
  if (act === 'remove') return fs.rmSync(at, { recursive: true, force: true })
  if (act === 'chmod') return stat?.kind === 'file' ? fs.chmodSync(at, stat.mode ^ 0o111) : undefined
  if (act === 'touch') return stat && stat.kind !== 'symlink' ? fs.utimesSync(at, 1000, 1000) : undefined
  for (let above = dirname(at); above.length > folder.path.length; above = dirname(above)) {
    const kind = disk.lstat(above)?.kind ?? 'folder'
    if (kind !== 'folder') fs.rmSync(above)
  }
  fs.mkdirSync(dirname(at), { recursive: true })
  fs.rmSync(at, { recursive: true, force: true })
  if (act === 'folder') fs.mkdirSync(at)
  else if (act === 'link') fs.symlinkSync('/nowhere', at)
  else fs.writeFileSync(at, text)
}

/** The folder read without any of the code that is tested, as a tree says it. */
function plainly(folder: TestFolder): Record<string, string> {
  const found: Record<string, string> = {}
  const walk = (below: string): void => {
    const seen = new Map<string, string>()
    for (const item of fs.readdirSync(folder.at(below), { withFileTypes: true })) {
      if (below === '' && item.name === '.blobs') continue
      const key = item.name.normalize('NFC')
      const clash = seen.get(key)
      if (clash !== undefined) throw new Error(`${clash} and ${item.name}`)
      seen.set(key, item.name)
      const name = below === '' ? item.name : `${below}/${item.name}`
      const stat = fs.lstatSync(folder.at(name))
      const shown = name.normalize('NFC')
      if (stat.isSymbolicLink()) found[shown] = 'symlink'
      else if (stat.isFile())
        found[shown] = short(fs.readFileSync(folder.at(name), 'utf8')) + (stat.mode & 0o100 ? '+x' : '')
      else if (fs.readdirSync(folder.at(name)).length === 0) found[`${shown}/`] = 'folder'
      else walk(name)
    }
  }
  walk('')
  return found
}

/** What is known, without what may be behind a link: of that nothing is known but that it must not be judged. */
function known(folder: TestFolder): Record<string, string> {
  const plain = folder.tree.plain()
  const behind = ([name, what]: [string, string]): boolean =>
    what === 'symlink' &&
    name.split('/').some((_, i, parts) => i > 0 && plain[parts.slice(0, i).join('/')] === 'symlink')
  return Object.fromEntries(Object.entries(plain).filter((entry) => !behind(entry)))
}

const clashes = (folder: TestFolder): boolean => {
  try {
    plainly(folder)
    return false
  } catch {
    return true
  }
}

test('after any acts, a scan of what they touched knows the disk as it is', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(userAct, { maxLength: 5 }), { maxLength: 4 }),
      fc.boolean(),
      async (rounds, all) => {
        const folder = await testFolder(undefined, quick)
        try {
          let count = 0
          for (const acts of rounds) {
            for (const act of acts) doAct(folder, act, `text ${count++}`)
            if (clashes(folder)) return
            const touched = acts
              .map((act) => dirname(act.path))
              .map((above) => ({ path: above === '.' ? '' : above, deep: false }))
            const own = acts.map((act) => ({ path: act.path, deep: true }))
            await folder.look(all ? undefined : [...touched, ...own, { path: '', deep: false }], { clock: later })
            expect(known(folder)).toEqual(plainly(folder))
          }
          expect(await folder.look(undefined, { clock: later })).toEqual([])
        } finally {
          folder.remove()
        }
      },
    ),
    { numRuns: 150 },
  )
})

type Choice = { readonly path: string; readonly what: number; readonly executable: boolean }
const choice: fc.Arbitrary<Choice> = fc.record({ path, what: fc.nat(3), executable: fc.boolean() })

/** A plan that fits what is known of a path. */
function workFor(folder: TestFolder, { path: name, what, executable: wanted }: Choice, text: string): DiskWork {
  const before = folder.tree.nodes.get(name)
  if (before?.kind !== 'file')
    return what === 0 ? folderComes(`${name}/`) : download(name, text, null, { executable: wanted })
  const { hash, size, executable, identity } = before
  const content = { kind: 'file', hash, size, executable } as const
  if (what === 0) return removal(name, content, identity)
  if (what === 1) return download(name, text, content, { executable: wanted, identity })
  const planned = conflict(name, '', what === 2 ? null : text)
  return { ...planned, step: { ...planned.step, local: content } } as DiskWork
}

test('whatever a user does before and between, no text is lost, and what is said to be done is so', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(userAct, { maxLength: 8 }),
      fc.array(userAct, { maxLength: 3 }),
      fc.uniqueArray(choice, { maxLength: 5, selector: (item) => item.path }),
      fc.boolean(),
      async (before, meanwhile, choices, exchange) => {
        const folder = await testFolder(undefined, quick)
        try {
          before.forEach((act, i) => doAct(folder, act, `before ${i}`))
          if (clashes(folder)) return
          await folder.look(undefined, { clock: later })
          meanwhile.forEach((act, i) => doAct(folder, act, `meanwhile ${i}`))
          if (clashes(folder)) return
          const had = Object.values(contents(folder)).filter((text) => /before|meanwhile/.test(text))
          const now = openTestDisk(folder, exchange ? quick : { ...quick, exchange: () => false })
          const results = await now.apply(choices.map((item, i) => workFor(folder, item, `bucket ${i}`)))
          const has = Object.values(contents(folder))
          for (const text of had) expect(has).toContain(text)
          expect(split(folder).tmp).toEqual([])
          const said = results.flatMap((result) => (result.type === 'done' ? result.now : []))
          folder.tree.record(said)
          const real = plainly(folder)
          const plain = folder.tree.plain()
          for (const observation of said) expect(plain[observation.path], observation.path).toBe(real[observation.path])
          await folder.look(undefined, { clock: later })
          expect(known(folder)).toEqual(real)
        } finally {
          folder.remove()
        }
      },
    ),
    { numRuns: 300 },
  )
})

test('a batch that finds the disk as planned is done in whole, and leaves just what was planned', async () => {
  const texts = fc.uniqueArray(fc.constantFrom('a', 'b/c', 'b/d/e', 'f/g', 'h'), { maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(texts, texts, async (mine, theirs) => {
      const folder = await testFolder(undefined, quick)
      try {
        for (const name of mine) folder.write(name, 'old')
        await folder.look(undefined, { clock: later })
        const gone = mine.filter((name) => !theirs.includes(name)).map((name) => removal(name, file('old')))
        const come = theirs.map((name) => download(name, 'new', mine.includes(name) ? file('old') : null))
        const results = await openTestDisk(folder, quick).apply([...come, ...gone])
        expect(results.every((result) => result.type === 'done')).toBe(true)
        expect(split(folder).files).toEqual(Object.fromEntries(theirs.map((name) => [name, 'new'])))
        for (const result of results) if (result.type === 'done') folder.tree.record(result.now)
        expect(folder.tree.plain()).toEqual(plainly(folder))
        expect(disk.list(folder.at('.blobs/tmp'))).toEqual([])
      } finally {
        folder.remove()
      }
    }),
    { numRuns: 60 },
  )
})
