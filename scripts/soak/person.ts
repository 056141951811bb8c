import { lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Dice } from './dice.ts'
import { hashOf, type Ledger } from './ledger.ts'

/** Someone who works in one synced folder. */
export interface Person {
  readonly name: string
  readonly root: string
  readonly dice: Dice
  readonly ledger: Ledger
  /** Files that the person has open for a slow save, by inode: not saved to in another way meanwhile. */
  readonly open: Set<number>
  /** Bytes that nobody saved before. */
  fresh(size: number): Buffer
}

export function openPerson(given: Omit<Person, 'open' | 'fresh'>, seed: number): Person {
  let count = 0
  return {
    ...given,
    open: new Set(),
    fresh: (size) => {
      const head = Buffer.from(`#${seed} ${given.name} ${++count}\n`)
      return Buffer.concat([head, given.dice.bytes(Math.max(0, size - head.length))])
    },
  }
}

/** The person's own folder: nobody else writes in it. */
function ownFolder({ name }: Pick<Person, 'name'>): string {
  return `own-${name}`
}

const SHARED = [
  'a.txt',
  'b.md',
  'c',
  'é.txt',
  'dir/x',
  'dir/y.txt',
  'dir/sub/z',
  'dir/sub/deep/er.tar.gz',
  'd2/q',
  'notes/2026/plan.md',
  'notes/2026/list',
] as const
const OWN = ['1', '2.txt', 'in/3', 'in/here/4.md', 'other/5'] as const

/** A path to save to, relative to the root: a name that all use, one of the person's own, one that is there, or a new one. */
export function anyPath(person: Person): string {
  const { dice } = person
  const kind = dice.below(20)
  if (kind < 9) return dice.pick(SHARED)
  if (kind < 14) return `${ownFolder(person)}/${dice.pick(OWN)}`
  if (kind < 18) return existing(person, 'file') ?? dice.pick(SHARED)
  return `new/${dice.below(4)}/${person.name}-${dice.below(40)}.bin`
}

/** A file or folder that is there now, by a random walk; null if the walk meets none. */
export function existing(person: Person, kind: 'file' | 'folder'): string | null {
  let at = ''
  for (let depth = 0; depth < 6; depth++) {
    const items = readdirSync(join(person.root, at), { withFileTypes: true }).filter(
      ({ name }) => at !== '' || (name !== '.blobs' && (!name.startsWith('own-') || name === ownFolder(person))),
    )
    const [first, ...rest] = kind === 'folder' ? items.filter((item) => item.isDirectory()) : items
    if (first === undefined) break
    const item = person.dice.pick([first, ...rest])
    const path = at === '' ? item.name : `${at}/${item.name}`
    if (item.isFile()) return path
    at = path
    if (kind === 'folder' && person.dice.oneIn(2)) return at === ownFolder(person) ? null : at
  }
  return kind === 'folder' && at !== '' && at !== ownFolder(person) ? at : null
}

/** The full path, with the folders above it made. */
export function ready(person: Person, path: string): string {
  const full = join(person.root, path)
  mkdirSync(dirname(full), { recursive: true })
  return full
}

/** True if a slow save of the person has this file open. */
export function isOpen(person: Person, full: string): boolean {
  if (person.open.size === 0) return false
  const stat = lstatSync(full, { throwIfNoEntry: false })
  return stat !== undefined && person.open.has(stat.ino)
}

export function saved(person: Person, path: string, how: string, bytes: Uint8Array): void {
  person.ledger.saved({ hash: hashOf(bytes), writer: person.name, path, how, size: bytes.length })
}
