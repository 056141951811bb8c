import { createHash } from 'node:crypto'

/** What somebody saved, by the SHA-256 of its bytes: no two saves of a soak have the same. */
interface Save {
  readonly hash: string
  /** Who saved it: a user's name, or `cloud`. */
  readonly writer: string
  readonly path: string
  readonly how: string
  readonly size: number
  /** Milliseconds since the soak began. */
  readonly at: number
}

/**
 * The bytes that must be found again. A save is owed from the moment it is whole; no longer when its own writer overwrites or deletes the
 * last copy before the bucket had it. What the bucket was once seen to have is owed by the bucket's history for ever.
 */
export interface Ledger {
  saved(save: Omit<Save, 'at'>): void
  /** Its writer made another copy of it. */
  copied(writer: string, hash: string): void
  /** The writer destroyed a copy of it: overwrote it in place, or took away its last name. Nothing is excused for what others saved. */
  destroyed(writer: string, hash: string): void
  /** The bucket has it, or says so. */
  witnessed(hash: string, path: string): void
  /** What is owed and in neither: `anywhere` is what folders, trash and history have, `history` what the history has. Told once. */
  missing(anywhere: ReadonlySet<string>, history: ReadonlySet<string>): Missing
  /** True when asked about this for the first time: what is wrong is told once. */
  isNews(what: string): boolean
  /** What a person did, for whoever reads the log later. */
  note(line: string): void
  /** Every edit, each line with the milliseconds since the soak began. */
  log(): readonly string[]
  counts(): { readonly saves: number; readonly excused: number; readonly witnessed: number }
}
interface Missing {
  readonly saves: readonly Save[]
  /** Acknowledged by the bucket and not in its history. */
  readonly acknowledged: readonly { readonly hash: string; readonly path: string }[]
}

export function openLedger(elapsed: () => number): Ledger {
  const saves = new Map<string, Save & { copies: number }>()
  const witnessed = new Map<string, string>()
  const told = new Set<string>()
  const log: string[] = []
  const isNews = (what: string): boolean => !told.has(what) && told.add(what) !== null
  const note = (line: string): void => void log.push(`${elapsed().toFixed(0).padStart(7)} ${line}`)
  const isExcused = ({ hash, copies }: { hash: string; copies: number }): boolean =>
    copies === 0 && !witnessed.has(hash)
  return {
    saved: (save) => {
      saves.set(save.hash, { ...save, at: elapsed(), copies: 1 })
      note(`${save.writer} ${save.how} ${save.path} ${save.hash.slice(0, 12)} ${save.size}`)
    },
    copied: (writer, hash) => {
      const save = saves.get(hash)
      if (save?.writer === writer) save.copies++
    },
    destroyed: (writer, hash) => {
      const save = saves.get(hash)
      if (save?.writer === writer && save.copies > 0) save.copies--
    },
    witnessed: (hash, path) => void witnessed.set(hash, path),
    missing: (anywhere, history) => {
      const lost = [...saves.values()].filter((save) => !isExcused(save) && !anywhere.has(save.hash))
      const gone = [...witnessed].filter(([hash]) => !history.has(hash))
      return {
        acknowledged: gone.filter(([hash]) => isNews(hash)).map(([hash, path]) => ({ hash, path })),
        saves: lost.filter(({ hash }) => isNews(hash)),
      }
    },
    isNews,
    note,
    log: () => log,
    counts: () => ({
      saves: saves.size,
      excused: [...saves.values()].filter(isExcused).length,
      witnessed: witnessed.size,
    }),
  }
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
