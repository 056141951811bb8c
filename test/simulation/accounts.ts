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
  saved(device: string, path: string, bytes: Uint8Array): void
  /** A person replaced or deleted a file that held these bytes. */
  gone(device: string, path: string, bytes: Uint8Array): void
  moved(device: string, from: string, to: string, bytes: Uint8Array): void
  /** Somebody did something at this path that leaves it to chance what it should hold. */
  muddied(path: string): void
  owed(): readonly Saved[]
  keepOnly(findable: (saved: Saved) => boolean): void
  /** Paths that one device alone has touched, with the hash it left there (null: nothing). */
  untouchedByOthers(): ReadonlyMap<string, string | null>
  writers(): ReadonlySet<string>
}

export function openAccounts(): Accounts {
  let owed: Saved[] = []
  const touched = new Map<string, Set<string>>()
  const last = new Map<string, string | null>()
  const writers = new Set<string>()

  const touch = (device: string, path: string, hash: string | null): void => {
    const known = touched.get(path)
    if (known) known.add(device)
    else touched.set(path, new Set([device]))
    last.set(path, hash)
  }
  const isSiblingOf = (path: string): boolean => parseConflictName(path) !== null
  return {
    acted: (device) => void writers.add(device),
    saved: (device, path, bytes) => {
      const hash = sha256(bytes)
      touch(device, path, hash)
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
      owed = owed.map((one) => {
        if (one.hash !== hash) return one
        if (isSiblingOf(from)) return { ...one, anywhere: true }
        return one.device === device && one.path === from ? { ...one, path: to } : one
      })
    },
    muddied: (path) => {
      touch('a stranger', path, null)
      touch('another', path, null)
    },
    owed: () => owed,
    keepOnly: (findable) => {
      owed = owed.filter(findable)
    },
    untouchedByOthers: () => {
      const alone = new Map<string, string | null>()
      for (const [path, hash] of last) {
        const devices = new Set<string>()
        for (const [other, by] of touched) {
          if (other === path || other.startsWith(`${path}/`) || path.startsWith(`${other}/`))
            for (const device of by) devices.add(device)
        }
        if (devices.size === 1) alone.set(path, hash)
      }
      return alone
    },
    writers: () => writers,
  }
}
