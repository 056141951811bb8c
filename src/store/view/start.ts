import type { Database } from '../../platform/sqlite.ts'
import { END, numberBound, START, TREES, type Bound, type Tree } from './bounds.ts'
import { readState } from './schema.ts'

/** The page at the top of a tree: its hash, and how many levels are below it. */
export type Top = readonly [hash: string, level: number]

/** What a checkpoint says of a bucket as a whole, see docs/entry-format.md. */
export interface Summary {
  readonly epoch: string
  readonly position: number
  /** Id of the entry there. */
  readonly entry: string
  readonly created: string
  readonly options: string
  readonly blobs: number
  readonly bytes: number
  readonly serial: number
  /** Absent: 0. */
  readonly dropped?: number
  /** Null for one without rows. */
  readonly trees: Readonly<Record<Tree, Top | null>>
}
/** Where a view begins that does not read its log from the start. */
export interface Start {
  readonly root: string
  readonly summary: Summary
  readonly floor: number
}

/** Inside a transaction. */
export function startFrom(db: Database, { root, summary, floor }: Start): void {
  if (readState(db).position > 0) return
  const { epoch, position, entry, created, options, blobs, bytes, serial, trees, dropped = 0 } = summary
  const tops = TREES.flatMap((tree) => {
    const top = trees[tree]
    return top === null ? [] : [{ tree, top }]
  })
  db.run(
    `UPDATE state SET epoch = ?, position = ?, entry = ?, created = ?, options = ?, blobs = ?, bytes = ?, serial = ?, floor = ?, root = ?, dropped = ?`,
    epoch,
    position,
    entry,
    created,
    options,
    blobs,
    bytes,
    serial,
    floor,
    tops.length === 0 ? '' : root,
    dropped,
  )
  const ends: Readonly<Record<Tree, Bound>> = {
    keys: END,
    serials: numberBound(serial),
    entries: numberBound(position + 1),
    ids: END,
  }
  for (const { tree, top } of tops) {
    db.run('INSERT INTO gaps VALUES (?, ?, ?, ?, ?)', tree, START, ends[tree], top[0], top[1])
  }
}
