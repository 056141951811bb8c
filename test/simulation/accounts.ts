import ignore, { type Ignore } from 'ignore'
import { sha256 } from '../../src/content/hash.ts'
import { parseConflictName } from '../../src/sync/core/conflict-name.ts'

/** Bytes that a person saved and has not replaced or deleted since: they must be found again. */
export interface Saved {
  readonly device: string
  readonly path: string
  readonly hash: string
  /** Whoever moved a folder took siblings with it: then any place will do. */
  readonly anywhere: boolean
}

/** Who saved what where: the books that the laws are checked against. */
export interface Accounts {
  acted(device: string): void
  /** `over`: what the person had there and replaced, knowing it; null: nothing; 'unknown': nobody can tell. */
  saved(device: string, path: string, bytes: Uint8Array, over: Uint8Array | null | 'unknown'): void
  /** A person replaced or deleted a file that held these bytes. */
  gone(device: string, path: string, bytes: Uint8Array): void
  moved(device: string, from: string, to: string, bytes: Uint8Array): void
  /** A person changed something about what is there, but not its bytes (null: nothing is there). */
  altered(device: string, path: string, bytes: Uint8Array | null): void
  /** A folder has this name, or had it. */
  madeFolder(path: string): void
  /** Somebody did something at this path that leaves it to chance what it should hold. */
  muddied(path: string): void
  /** The same, because somebody wants back what the bucket has at it; whatever is saved there until it comes is its rival. */
  wantedBack(path: string): void
  isWantedBack(path: string): boolean
  owed(): readonly Saved[]
  keepOnly(findable: (saved: Saved) => boolean): void
  /** Paths that one device alone has touched, in whatever case, with the hash it left there (null: nothing). */
  untouchedByOthers(): ReadonlyMap<string, { readonly device: string; readonly hash: string | null }>
  /** A folder got these rules about what to leave alone. */
  ruled(folder: string, text: string): void
  /** Whether any rules there ever were leave this path alone. */
  everIgnored(path: string): boolean
  /** The same of anything that was ever below it: the bucket goes on having it, whoever took the folder's name. */
  everIgnoredBelow(path: string): boolean
  writers(): ReadonlySet<string>
  /** Whether these bytes were ever saved at, or moved to, this path by anybody. */
  knows(path: string, hash: string): boolean
  /** The same of any path that ends in this name. */
  knowsName(name: string, hash: string): boolean
  /** Whether something was saved at this path by who knew neither this nor what came of it. */
  hasRival(path: string, hash: string): boolean
}

const STRANGER = 'a stranger'

export function openAccounts(): Accounts {
  let owed: Saved[] = []
  const touched = new Map<string, Set<string>>()
  const last = new Map<string, string | null>()
  const writers = new Set<string>()
  const folders = new Set<string>()
  const rules: { readonly folder: string; readonly matcher: Ignore }[] = []
  const ever = new Map<string, Set<string>>()
  const comesBack = new Set<string>()
  /** By path, what was saved over what; 'unknown' when that cannot be told any more. */
  const past = new Map<string, Map<string, string | null | 'unknown'>>()

  const touch = (device: string, path: string, hash: string | null): void => {
    const known = touched.get(path)
    if (known) known.add(device)
    else touched.set(path, new Set([device]))
    last.set(path, hash)
  }
  const remember = (path: string, hash: string): void => {
    for (const key of [path, `*/${nameOf(path)}`]) {
      const known = ever.get(key)
      if (known) known.add(hash)
      else ever.set(key, new Set([hash]))
    }
  }
  const succeed = (path: string, hash: string, over: string | null): void => {
    const known = past.get(path) ?? new Map<string, string | null>()
    past.set(path, known)
    // The same bytes for the second time: nobody can tell which of the two is meant.
    known.set(hash, known.has(hash) ? 'unknown' : over)
  }
  /** Null when it cannot be told. */
  const ancestors = (path: string, hash: string): Set<string> | null => {
    const found = new Set<string>()
    for (let at: string | null = hash; at !== null;) {
      const over: string | null = past.get(path)?.get(at) ?? null
      if (over === 'unknown' || found.has(at)) return null
      found.add(at)
      at = over
    }
    return found
  }
  const everIgnored = (path: string): boolean =>
    rules.some(({ folder, matcher }) => {
      if (folder === '') return matcher.ignores(path)
      return isBelow(path, folder) && matcher.ignores(path.slice(folder.length + 1))
    })
  const muddied = (path: string): void => {
    touch(STRANGER, path, null)
    touch('another', path, null)
  }
  const isSiblingOf = (path: string): boolean => parseConflictName(path) !== null
  return {
    acted: (device) => void writers.add(device),
    saved: (device, path, bytes, over) => {
      const hash = sha256(bytes)
      touch(device, path, hash)
      remember(path, hash)
      succeed(path, hash, over === null || over === 'unknown' ? over : sha256(over))
      owed.push({ device, path, hash, anywhere: false })
    },
    gone: (device, path, bytes) => {
      const hash = sha256(bytes)
      touch(device, path, null)
      owed = owed.filter(
        (one) => one.hash !== hash || !((one.device === device && one.path === path) || isSiblingOf(path)),
      )
    },
    moved: (device, from, to, bytes) => {
      const hash = sha256(bytes)
      touch(device, from, null)
      touch(device, to, hash)
      remember(to, hash)
      succeed(to, hash, 'unknown')
      owed = owed.map((one) => {
        if (one.hash !== hash) return one
        if (isSiblingOf(from)) return { ...one, anywhere: true }
        return one.device === device && one.path === from ? { ...one, path: to } : one
      })
    },
    altered: (device, path, bytes) => touch(device, path, bytes === null ? null : sha256(bytes)),
    madeFolder: (path) => void folders.add(path),
    muddied,
    wantedBack: (path) => {
      muddied(path)
      comesBack.add(path)
    },
    isWantedBack: (path) => comesBack.has(path),
    owed: () => owed,
    keepOnly: (findable) => {
      owed = owed.filter(findable)
    },
    untouchedByOthers: () => {
      const alone = new Map<string, { device: string; hash: string | null }>()
      const all = [...touched].map(([path, by]) => ({ path, by, folded: foldOf(path) }))
      for (const [path, hash] of last) {
        const folded = foldOf(path)
        const devices = new Set<string>()
        for (const other of all) {
          if (other.folded !== folded && !isBelow(other.folded, folded) && !isBelow(folded, other.folded)) continue
          for (const device of other.by) devices.add(device)
          if (other.folded === folded && other.path !== path) devices.add(STRANGER)
        }
        const [device] = devices
        if (devices.size === 1 && device !== undefined) alone.set(path, { device, hash })
      }
      return alone
    },
    ruled: (folder, text) => void rules.push({ folder, matcher: ignore({ allowRelativePaths: true }).add(text) }),
    everIgnored,
    everIgnoredBelow: (path) => [...ever.keys()].some((other) => isBelow(other, path) && everIgnored(other)),
    writers: () => writers,
    knows: (path, hash) => ever.get(path)?.has(hash) === true,
    knowsName: (name, hash) => ever.get(`*/${name}`)?.has(hash) === true,
    hasRival: (path, hash) => {
      const mine = ancestors(path, hash)
      // A folder is a rival of any file.
      const variants = [...past.keys()].filter((other) => foldOf(other) === foldOf(path))
      if (mine === null || variants.length > 1 || folders.has(path) || touched.get(path)?.has(STRANGER)) return true
      return [...(past.get(path)?.keys() ?? [])].some((other) => {
        const theirs = ancestors(path, other)
        return theirs === null || (!theirs.has(hash) && !mine.has(other))
      })
    },
  }
}

/** How a disk that is blind to case and Unicode form compares names. */
export function foldOf(path: string): string {
  return path.normalize('NFC').toLowerCase()
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`)
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
