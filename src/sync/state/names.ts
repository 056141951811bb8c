import type { Database, Value } from '../../platform/sqlite.ts'
import type { Path } from '../core/types.ts'
import { rangeBelow } from './tree.ts'

/** A name in a folder, of a file or of a folder with something in it. */
export interface NameThere {
  readonly name: string
  readonly onDisk: boolean
  /** Some path under it was in sync once. */
  readonly known: boolean
}

/** The names that are in a folder on either side, each once. */
export function namesIn(db: Database, folder: Path): NameThere[] {
  const parent = folder === '' ? '' : `${folder}/`
  const files = db.all<{ name: string; l: number; b: number }>(
    `SELECT name, l_kind IS NOT NULL AS l, b_kind IS NOT NULL AS b FROM paths WHERE parent = ? AND name <> '' AND ignored = 0
     AND (l_kind IS NOT NULL OR r_kind IN ('f', 'd'))`,
    parent,
  )
  const names = new Map(files.map(({ name, l, b }) => [name, { name, onDisk: l === 1, known: b === 1 }]))
  const [, end] = rangeBelow(folder)
  let [atParent, atName]: [string, Value] = [parent, new Uint8Array(0)]
  for (;;) {
    const row: { parent: string } | undefined = db.get<{ parent: string }>(
      `SELECT parent FROM paths WHERE (parent, name) > (?, ?) AND parent < ? AND ignored = 0
       AND (l_kind IS NOT NULL OR r_kind IN ('f', 'd')) ORDER BY parent, name LIMIT 1`,
      atParent,
      atName,
      end,
    )
    if (row === undefined) return [...names.values()]
    const name = row.parent.slice(parent.length, row.parent.indexOf('/', parent.length))
    const below = rangeBelow(parent + name)
    const has = (column: 'l_kind' | 'b_kind'): boolean =>
      db.get(`SELECT 1 FROM paths WHERE parent >= ? AND parent < ? AND ${column} IS NOT NULL LIMIT 1`, ...below) !==
      undefined
    const before = names.get(name)
    names.set(name, {
      name,
      onDisk: before?.onDisk === true || has('l_kind'),
      known: before?.known === true || has('b_kind'),
    })
    ;[atParent, atName] = [`${parent}${name}0`, '']
  }
}
