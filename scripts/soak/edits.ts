import {
  chmodSync,
  closeSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { readHeld, taking } from './held.ts'
import { hashOf } from './ledger.ts'
import { anyPath, existing, isOpen, ready, saved, type Person } from './person.ts'

/** One thing a person does, by the name of how it is done. False: there was nothing to do it to. Throws what the disk says. */
export type Edit = (person: Person) => boolean | Promise<boolean>

const SMALL = 400
const MEDIUM = 400_000
const LARGE = 6_000_000

function size({ dice }: Person): number {
  return dice.oneIn(15) ? 1 + dice.below(MEDIUM) : dice.below(SMALL)
}

/** Truncates what is there and writes; a new file if nothing is. */
function inPlace(person: Person, path: string, bytes: Buffer, how: string): boolean {
  const full = ready(person, path)
  if (isOpen(person, full)) return false
  const file = openOrCreate(full)
  try {
    const before = readHeld(file)
    ftruncateSync(file, 0)
    writeSync(file, bytes, 0, bytes.length, 0)
    if (before.length > 0) person.ledger.destroyed(person.name, hashOf(before))
    saved(person, path, how, bytes)
  } finally {
    closeSync(file)
  }
  return true
}

function openOrCreate(full: string): number {
  for (;;) {
    try {
      return openSync(full, lstatSync(full, { throwIfNoEntry: false }) ? 'r+' : 'wx+')
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT' && code !== 'EEXIST') throw error
    }
  }
}

/** Into a temporary file beside it, then over it; in between an agent may see both. */
async function renameOver(person: Person): Promise<boolean> {
  const path = anyPath(person)
  const full = ready(person, path)
  const temporary = join(dirname(full), `.${basename(full)}.${person.dice.below(1e9).toString(36)}.tmp`)
  const bytes = person.fresh(size(person))
  writeFileSync(temporary, bytes, { flag: 'wx' })
  saved(person, path, 'rename over', bytes)
  if (person.dice.oneIn(4)) await sleep(person.dice.below(120))
  taking(person.ledger, person.name, full, () => renameSync(temporary, full))
  return true
}

/** As vim does with a backup: the old file aside, a new one, the old one away. */
async function backupAside(person: Person): Promise<boolean> {
  const path = existing(person, 'file')
  if (path === null) return false
  const full = join(person.root, path)
  const backup = `${full}~`
  taking(person.ledger, person.name, backup, () => renameSync(full, backup))
  person.ledger.note(`${person.name} move ${path} to its backup`)
  if (person.dice.oneIn(4)) await sleep(person.dice.below(60))
  const bytes = person.fresh(size(person))
  create(person, path, full, bytes, 'backup aside')
  taking(person.ledger, person.name, backup, () => unlinkSync(backup))
  return true
}

async function deleteAndCreate(person: Person): Promise<boolean> {
  const path = anyPath(person)
  const full = ready(person, path)
  if (!lstatSync(full, { throwIfNoEntry: false })) return false
  taking(person.ledger, person.name, full, () => unlinkSync(full))
  person.ledger.note(`${person.name} delete, to create anew, ${path}`)
  if (person.dice.oneIn(2)) await sleep(person.dice.below(300))
  create(person, path, full, person.fresh(size(person)), 'delete and create')
  return true
}

/** A new file; when somebody was faster, the save goes into that one. */
function create(person: Person, path: string, full: string, bytes: Buffer, how: string): void {
  mkdirSync(dirname(full), { recursive: true })
  try {
    writeFileSync(full, bytes, { flag: 'wx' })
    saved(person, path, how, bytes)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    inPlace(person, path, bytes, how)
  }
}

function append(person: Person): boolean {
  const path = existing(person, 'file')
  if (path === null) return false
  const full = join(person.root, path)
  if (isOpen(person, full)) return false
  const file = openSync(full, 'r+')
  try {
    const before = readHeld(file)
    const line = person.fresh(person.dice.below(80))
    writeSync(file, line, 0, line.length, before.length)
    person.ledger.destroyed(person.name, hashOf(before))
    saved(person, path, 'append', Buffer.concat([before, line]))
  } finally {
    closeSync(file)
  }
  return true
}

/** Opens, truncates and writes in pieces, with pauses: whatever an agent sees of it meanwhile, the end counts. */
async function slowly(person: Person): Promise<boolean> {
  const path = anyPath(person)
  const full = ready(person, path)
  if (isOpen(person, full)) return false
  const file = openOrCreate(full)
  const { ino } = fstatSync(file)
  person.open.add(ino)
  try {
    const before = readHeld(file)
    ftruncateSync(file, 0)
    if (before.length > 0) person.ledger.destroyed(person.name, hashOf(before))
    const bytes = person.fresh(person.dice.oneIn(3) ? person.dice.below(LARGE) : person.dice.below(MEDIUM))
    const pieces = 2 + person.dice.below(4)
    for (let piece = 0, at = 0; piece < pieces; piece++) {
      const end = piece === pieces - 1 ? bytes.length : Math.ceil((bytes.length * (piece + 1)) / pieces)
      writeSync(file, bytes, at, end - at, at)
      at = end
      if (piece < pieces - 1) await sleep(person.dice.below(100))
    }
    // Its name may have been taken away by the person meanwhile.
    if (fstatSync(file).nlink > 0) saved(person, path, 'slowly in place', bytes)
  } finally {
    closeSync(file)
    person.open.delete(ino)
  }
  return true
}

function remove(person: Person): boolean {
  const path = existing(person, 'file')
  if (path === null) return false
  const full = join(person.root, path)
  taking(person.ledger, person.name, full, () => unlinkSync(full))
  person.ledger.note(`${person.name} delete ${path}`)
  return true
}

function move(person: Person): boolean {
  const from = existing(person, 'file')
  const to = anyPath(person)
  if (from === null || from === to) return false
  const full = ready(person, to)
  taking(person.ledger, person.name, full, () => renameSync(join(person.root, from), full))
  person.ledger.note(`${person.name} move ${from} → ${to}`)
  return true
}

function copy(person: Person): boolean {
  const from = existing(person, 'file')
  if (from === null) return false
  const full = ready(person, `copies/${person.name}-${person.dice.below(1e9).toString(36)}`)
  const bytes = readFileSync(join(person.root, from))
  writeFileSync(full, bytes, { flag: 'wx' })
  person.ledger.copied(person.name, hashOf(bytes))
  return true
}

function moveFolder(person: Person): boolean {
  const from = existing(person, 'folder')
  const to = person.dice.oneIn(2) ? `moved/${person.dice.below(6)}` : existing(person, 'folder')
  // A sibling that was moved into a person's own folder would look like a conflict of one.
  if (from === null || to === null || from === to || to.startsWith('own-')) return false
  renameSync(join(person.root, from), ready(person, to))
  person.ledger.note(`${person.name} move folder ${from} → ${to}`)
  return true
}

function removeFolder(person: Person): boolean {
  const path = existing(person, 'folder')
  if (path === null) return false
  removeTree(person, join(person.root, path))
  return true
}

/** As `rm -r`: one by one; what an agent puts in meanwhile stays. */
function removeTree(person: Person, folder: string): void {
  for (const item of readdirSync(folder, { withFileTypes: true })) {
    const full = join(folder, item.name)
    if (item.isDirectory()) removeTree(person, full)
    else taking(person.ledger, person.name, full, () => unlinkSync(full))
    person.ledger.note(`${person.name} delete ${full}`)
  }
  rmdirSync(folder)
}

function makeFolder(person: Person): boolean {
  mkdirSync(join(person.root, `empty/${person.dice.below(6)}/${person.dice.below(3)}`), { recursive: true })
  return true
}

/** A folder where a file was, or a file where a folder was. */
function swap(person: Person): boolean {
  const path = `swap/${person.dice.below(3)}`
  const full = ready(person, path)
  const stat = lstatSync(full, { throwIfNoEntry: false })
  if (stat?.isDirectory()) removeTree(person, full)
  else if (stat) taking(person.ledger, person.name, full, () => unlinkSync(full))
  if (stat?.isDirectory() || (!stat && person.dice.oneIn(2))) create(person, path, full, person.fresh(SMALL), 'swap')
  else create(person, `${path}/in`, join(full, 'in'), person.fresh(SMALL), 'swap')
  return true
}

function chmod(person: Person): boolean {
  const path = existing(person, 'file')
  if (path === null) return false
  chmodSync(join(person.root, path), person.dice.oneIn(2) ? 0o755 : 0o644)
  return true
}

function touch(person: Person): boolean {
  const path = existing(person, 'file')
  if (path === null) return false
  const time = 1_600_000_000 + person.dice.below(200_000_000)
  utimesSync(join(person.root, path), time, time)
  return true
}

/** How people work, and how often. */
export const EDITS: readonly (readonly [name: string, weight: number, edit: Edit])[] = [
  ['write in place', 20, (person) => inPlace(person, anyPath(person), person.fresh(size(person)), 'in place')],
  ['rename over', 20, renameOver],
  ['backup aside', 6, backupAside],
  ['delete and create', 7, deleteAndCreate],
  ['append', 9, append],
  ['slowly in place', 3, slowly],
  ['large', 1, (person) => inPlace(person, anyPath(person), person.fresh(person.dice.below(LARGE)), 'large')],
  ['delete', 10, remove],
  ['move', 8, move],
  ['copy', 2, copy],
  ['move folder', 3, moveFolder],
  ['delete folder', 2, removeFolder],
  ['make folder', 2, makeFolder],
  ['file and folder swap', 2, swap],
  ['chmod', 4, chmod],
  ['touch', 3, touch],
]
