import ignore, { type Ignore as Rules } from 'ignore'
import { sha256 } from '../../content/hash.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { isTemporary } from '../../platform/temporary.ts'
import type { Path } from '../core/types.ts'
import { OWN_FOLDER } from './marker.ts'
import { EVERYTHING, isEverything, isSelected, type Selection } from './selection.ts'

/** The rules of one moment: make a new one when a `.blobsignore` changed. */
export interface Ignore {
  /** `path` without a trailing slash. Reads the `.blobsignore` files on the way down to it, each once. */
  ignores(path: Path, isFolder: boolean): boolean
  /** Why `ignores` says yes of a path; null: it says no. */
  cause(path: Path, isFolder: boolean): Cause | null
  /** Of all rules read so far: complete after a scan of everything. Another digest than last time: paths may come or go, none was deleted. */
  digest(): string
}

/**
 * What ignores a path: a pattern, of the rules of the folder `from` (null: of this machine alone); or it is a file of this program, or not
 * among the folders that are selected on this machine.
 */
export type Cause = { readonly pattern: string; readonly from: Path | null } | 'ours' | 'selection'

export const IGNORE_FILE = '.blobsignore'
const LIMIT = 1024 * 1024

/**
 * `exclude`: patterns of this machine alone, in the same syntax, stronger than the files; `selection`: what it has at all. A `.blobsignore` that cannot be read is thrown
 * (errno), never taken for an empty one.
 */
export function openIgnore(options: {
  readonly fs: FileSystem
  readonly root: string
  readonly exclude?: readonly string[]
  readonly selection?: Selection
}): Ignore {
  const { fs, root, exclude = [], selection = EVERYTHING } = options
  const machine = exclude.length > 0 ? matcher(exclude.join('\n')) : null
  const folders = new Map<Path, { text: string; match: Matcher | null }>()
  const decided = new Map<Path, Cause | null>()

  const rulesOf = (folder: Path): Matcher | null => {
    let known = folders.get(folder)
    if (!known) {
      const text = readRules(fs, `${root}/${folder === '' ? '' : `${folder}/`}${IGNORE_FILE}`)
      known = { text, match: text === '' ? null : matcher(text) }
      folders.set(folder, known)
    }
    return known.match
  }

  const folderCause = (folder: Path): Cause | null => {
    if (folder === '') return null
    const before = decided.get(folder)
    if (before !== undefined) return before
    const answer = decide(folder, true)
    decided.set(folder, answer)
    return answer
  }

  const decide = (path: Path, isFolder: boolean): Cause | null => {
    if (isOurs(path)) return 'ours'
    if (!isSelected(selection, path, isFolder, IGNORE_FILE)) return 'selection'
    const parent = parentOf(path)
    const above = folderCause(parent)
    if (above !== null) return above
    const own = machine?.(path, isFolder) ?? null
    if (own !== null) return own.pattern === null ? null : { pattern: own.pattern, from: null }
    for (let folder: Path | null = parent; folder !== null; folder = folder === '' ? null : parentOf(folder)) {
      const verdict = rulesOf(folder)?.(folder === '' ? path : path.slice(folder.length + 1), isFolder) ?? null
      if (verdict !== null) return verdict.pattern === null ? null : { pattern: verdict.pattern, from: folder }
    }
    return null
  }

  const cause = (path: Path, isFolder: boolean): Cause | null => (isFolder ? folderCause(path) : decide(path, false))

  return {
    ignores: (path, isFolder) => cause(path, isFolder) !== null,
    cause,
    digest: () => {
      const texts = [...folders].filter(([, rules]) => rules.text !== '').sort(([a], [b]) => (a < b ? -1 : 1))
      const parts = [exclude, texts.map(([folder, { text }]) => [folder, text])]
      return sha256(Buffer.from(JSON.stringify(isEverything(selection) ? parts : [...parts, selection])))
    },
  }
}

/** Ours whatever the rules say. Case-blind, because the disk may be. */
function isOurs(path: Path): boolean {
  const end = path.indexOf('/')
  const length = end < 0 ? path.length : end
  const isOwn = length === OWN_FOLDER.length && path.slice(0, length).toLowerCase() === OWN_FOLDER
  return isOwn || isTemporary(path)
}

function parentOf(path: Path): Path {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function readRules(fs: FileSystem, path: string): string {
  if (fs.lstat(path)?.kind !== 'file') return ''
  const bytes = fs.readSmall(path, LIMIT)
  return bytes
    ? Buffer.from(bytes)
        .toString('utf8')
        .replace(/^\uFEFF/, '')
    : ''
}

/** The pattern that ignores a path, a null one when a `!` pattern asks for it; null: no pattern speaks of it. */
type Matcher = (path: Path, isFolder: boolean) => { readonly pattern: string | null } | null

// The package remembers every path it was asked about; a tree of a million files would stay in memory.
const ASKED_AT_MOST = 20_000

function matcher(text: string): Matcher {
  const make = (): Rules => ignore({ ignorecase: false, allowRelativePaths: true }).add(text)
  let rules = make()
  let asked = 0
  return (path, isFolder) => {
    if (asked++ >= ASKED_AT_MOST) {
      rules = make()
      asked = 0
    }
    const { ignored, unignored, rule } = rules.test(isFolder ? `${path}/` : path)
    if (ignored) return { pattern: rule?.pattern ?? '' }
    return unignored ? { pattern: null } : null
  }
}
