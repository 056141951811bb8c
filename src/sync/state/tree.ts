import type { Database, Value } from '../../platform/sqlite.ts'
import type { Path, Reason } from '../core/types.ts'
import type { Known, KnownTree } from '../disk/observed.ts'
import { hashFromBytes, placeOf } from './encode.ts'

interface LocalColumns {
  readonly parent: string
  readonly name: string
  readonly l_kind: string
  readonly l_hash: Uint8Array | null
  readonly l_exec: number | null
  readonly l_identity: string | null
  readonly l_reason: string | null
}
const LOCAL = 'parent, name, l_kind, l_hash, l_exec, l_identity, l_reason'

/** Bounds of everything below a folder in the order of the table; `''` is the root. No text is greater than a blob. */
export function rangeBelow(folder: Path): [from: string, to: Value] {
  return folder === '' ? ['', new Uint8Array(0)] : [`${folder}/`, `${folder}0`]
}

/** The local columns as the scan wants them: what is present or unknown. */
export function knownTree(db: Database): KnownTree {
  return {
    children: (folder) => {
      const items = new Map<string, Known>()
      const folders = new Set<string>()
      const parent = folder === '' ? '' : `${folder}/`
      for (const row of db.all<LocalColumns>(
        `SELECT ${LOCAL} FROM paths WHERE parent = ? AND name <> '' AND l_kind IS NOT NULL`,
        parent,
      )) {
        items.set(row.name, knownOf(row))
      }
      collectFolders(db, parent, items, folders)
      return { items, folders }
    },
    get: (path) => {
      const { parent, name } = placeOf(path)
      const row = db.get<LocalColumns>(
        `SELECT ${LOCAL} FROM paths WHERE parent = ? AND name = ? AND l_kind IS NOT NULL`,
        parent,
        name,
      )
      return row === undefined ? null : knownOf(row)
    },
    below: function* (folder) {
      const [from, to] = rangeBelow(folder)
      for (const row of db.all<{ parent: string; name: string }>(
        'SELECT parent, name FROM paths WHERE parent >= ? AND parent < ? AND l_kind IS NOT NULL',
        from,
        to,
      )) {
        if (folder === '' || row.parent !== from || row.name !== '') yield row.parent + row.name
      }
    },
  }
}

/** Skips from one folder to the next by the index, whatever they hold. */
function collectFolders(db: Database, parent: string, items: Map<string, Known>, folders: Set<string>): void {
  const [, end] = rangeBelow(parent.slice(0, -1))
  // Behind the folder's own items: every deeper parent is longer.
  let [atParent, atName]: [string, Value] = [parent, new Uint8Array(0)]
  for (;;) {
    const row: LocalColumns | undefined = db.get<LocalColumns>(
      `SELECT ${LOCAL} FROM paths WHERE (parent, name) > (?, ?) AND parent < ? AND l_kind IS NOT NULL ORDER BY parent, name LIMIT 1`,
      atParent,
      atName,
      end,
    )
    if (row === undefined) return
    const child = row.parent.slice(parent.length, row.parent.indexOf('/', parent.length))
    if (row.name === '' && row.parent.length === parent.length + child.length + 1) {
      items.set(`${child}/`, knownOf(row))
      ;[atParent, atName] = [row.parent, '']
    } else {
      folders.add(child)
      ;[atParent, atName] = [`${parent}${child}0`, '']
      // `child0` may be the parent of something itself only with a slash behind it, so nothing is skipped.
    }
  }
}

function knownOf(row: LocalColumns): Known {
  if (row.l_kind === 'd') return { kind: 'folder' }
  // The column only ever holds what `applyObservations` wrote.
  if (row.l_kind === 'u') return { kind: 'unknown', reason: (row.l_reason ?? 'unreadable') as Reason }
  return {
    kind: 'file',
    identity: row.l_identity ?? '',
    hash: hashFromBytes(row.l_hash),
    executable: row.l_exec === 1,
  }
}
