import type { Chance } from './chance.ts'

export interface Inode {
  readonly ino: bigint
  readonly kind: 'file' | 'folder' | 'symlink' | 'other'
  mode: number
  readonly target: string
  /** What a folder holds, by the name as this disk compares it. */
  entries: Map<string, Entry>
  /** What of it is durable. */
  lasting: Map<string, Entry>
  data: Uint8Array
  mtimeNs: bigint
  ctimeNs: bigint
  /** The bytes that are durable; null: none were made so. */
  durable: { readonly data: Uint8Array; readonly mtimeNs: bigint } | null
  writers: number
}
export interface Entry {
  readonly name: string
  readonly inode: Inode
}
interface Change {
  readonly folder: Inode
  readonly key: string
  readonly entry: Entry | null
}

/** Changes of names: all of one call happen or none, and none without those before it at the same names or that made its folders. */
export interface NameJournal {
  change(changes: readonly Change[]): void
  settleFolder(folder: Inode): void
  durably<T>(act: () => T): T
  powerLoss(chance: Chance, inodes: readonly Inode[]): number
}

export function openJournal(): NameJournal {
  let pending: (readonly Change[])[] = []

  const reflect = (changes: readonly Change[], which: 'entries' | 'lasting'): void => {
    for (const { folder, key, entry } of changes) {
      if (entry === null) folder[which].delete(key)
      else folder[which].set(key, entry)
    }
  }
  /** Those chosen and all that they build on. */
  const closure = (chosen: (changes: readonly Change[], index: number) => boolean): Set<number> => {
    const names = new Map<Inode, Set<string>>()
    const linked = new Set<Inode>()
    const taken = new Set<number>()
    for (let i = pending.length - 1; i >= 0; i--) {
      const changes = pending[i] ?? []
      const needed = changes.some(
        ({ folder, key, entry }) => names.get(folder)?.has(key) || (entry && linked.has(entry.inode)),
      )
      if (!needed && !chosen(changes, i)) continue
      taken.add(i)
      for (const { folder, key } of changes) {
        const known = names.get(folder)
        if (known) known.add(key)
        else names.set(folder, new Set([key]))
        linked.add(folder)
      }
    }
    return taken
  }
  const settle = (taken: ReadonlySet<number>): void => {
    pending.forEach((changes, i) => {
      if (taken.has(i)) reflect(changes, 'lasting')
    })
    pending = pending.filter((_, i) => !taken.has(i))
  }
  return {
    change: (changes) => {
      pending.push(changes)
      reflect(changes, 'entries')
    },
    settleFolder: (folder) => settle(closure((changes) => changes.some((change) => change.folder === folder))),
    durably: (act) => {
      const from = pending.length
      try {
        return act()
      } finally {
        settle(closure((_, index) => index >= from))
      }
    },
    powerLoss: (chance, inodes) => {
      const rate = chance.pick([0, 0.5, 0.9])
      const kept = closure(() => chance.often(rate))
      const lost = pending.length - kept.size
      settle(kept)
      pending = []
      let torn = 0
      for (const inode of inodes) {
        inode.entries = new Map(inode.lasting)
        if (inode.kind !== 'file' || inode.durable?.data === inode.data) continue
        const how = chance.below(4)
        if (how === 0) continue
        torn++
        if (how === 1) {
          inode.data = inode.durable?.data ?? new Uint8Array()
          inode.mtimeNs = inode.durable?.mtimeNs ?? inode.mtimeNs
        } else inode.data = tornOf(inode, how === 2, chance)
      }
      for (const inode of inodes)
        if (inode.kind === 'file') inode.durable = { data: inode.data, mtimeNs: inode.mtimeNs }
      return lost + torn
    },
  }
}

/** Some of what was written after the last sync is not there: the file ends before it, or has a hole there. */
function tornOf({ data, durable }: Inode, ends: boolean, chance: Chance): Uint8Array {
  const differs = durable ? data.findIndex((byte, i) => byte !== durable.data[i]) : 0
  const start = differs === -1 ? data.byteLength : differs
  const at = start + chance.below(data.byteLength - start + 1)
  if (ends) return data.slice(0, at)
  const torn = new Uint8Array(data)
  return torn.fill(0, start, at)
}
