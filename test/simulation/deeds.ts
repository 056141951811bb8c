import type { Chance } from './chance.ts'
import type { Deed } from './person.ts'

const PATHS = ['x', 'y', 'd/x', 'd/y', 'd/e/z', 'f/1', 'f/2', 'x/inner', 'd', 'f']
const FOLDERS = ['d', 'f', 'd/e', 'g']
/** The same names in another case, and one in both Unicode forms. */
const TWINS = ['X', 'D/x', 'd/X', 'F/1', 'caf\u00e9', 'cafe\u0301', 'd/caf\u00e9', 'd/cafe\u0301']
const RULES = ['', 'y\n', 'd/x\n', 'f/\n', 'x\n', '/d/\n', 'e/\n', '*\n!d\n!.blobsignore\n']
/** Of all texts, how many are longer than what a store keeps in its database. */
const LARGE = 0.06
const DAY = 24 * 3_600_000

/** What the people of a history are given to. */
export interface Habits {
  readonly paths: readonly string[]
  readonly folders: readonly string[]
  readonly rules: boolean
}

export function chooseHabits(chance: Chance, caseBlind: boolean): Habits {
  const twins = caseBlind || chance.often(0.05)
  return {
    paths: twins ? [...PATHS, ...TWINS] : PATHS,
    folders: twins ? [...FOLDERS, 'D', 'F'] : FOLDERS,
    rules: chance.often(0.15),
  }
}

export function deedOf(chance: Chance, { n, habits }: { readonly n: number; readonly habits: Habits }): Deed {
  const { paths, folders } = habits
  const path = chance.pick(paths)
  const any = (): string => chance.pick([...paths, ...folders])
  if (habits.rules && chance.often(0.15)) {
    const text = chance.pick(RULES)
    return {
      type: 'write',
      path: chance.pick(['.blobsignore', '.blobsignore', 'd/.blobsignore']),
      text,
      style: 'rename',
    }
  }
  const kind = chance.below(24)
  if (kind < 10)
    return { type: 'write', path, text: textOf(chance, n, path), style: chance.pick(['in place', 'rename', 'anew']) }
  if (kind < 13) return { type: 'remove', path }
  if (kind < 16) return { type: 'move', path: any(), to: any() }
  if (kind === 16) return { type: 'chmod', path, mode: chance.pick([0o755, 0o644, 0o444, 0o000]) }
  if (kind === 17) return { type: 'mkdir', path: chance.pick([...folders, 'd/empty']) }
  if (kind === 18)
    return chance.often(0.5) ? { type: 'swap for link', path: chance.pick(folders) } : { type: 'remove', path }
  if (kind === 19)
    return chance.often(0.5) ? { type: 'open', path } : { type: 'write to what is open', text: textOf(chance, n, path) }
  if (kind < 22) return { type: 'swap', path: any(), to: any() }
  if (kind === 22) return { type: 'touch', path, at: Date.UTC(2026, 0, 1) + chance.pick([-4000, -1, 0, 1, 4000]) * DAY }
  return { type: 'remove', path: chance.pick(folders) }
}

function textOf(chance: Chance, n: number, path: string): string {
  // Bytes that were there before, or are elsewhere.
  if (chance.often(0.15)) return chance.pick(['', 'the same', `base of ${path}`, `base of ${path}`])
  const size = chance.often(LARGE) ? 60_000 + chance.below(90_000) : chance.below(40)
  return `text ${n} ${chance.below(1e6)} ${'.'.repeat(size)}`
}
