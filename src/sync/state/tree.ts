import type { Database, Value } from '../../platform/sqlite.ts'
import type { Path, Reason } from '../core/types.ts'
import type { Identity, Known, KnownTree } from '../disk/observed.ts'
import { hashFromBytes, placeOf } from './encode.ts'

interface LocalColumns {
  readonly l_kind: string
  readonly l_hash: Uint8Array | null
  readonly l_exec: number | null
  readonly l_identity: string | null
  readonly l_reason: string | null
}
const LOCAL = 'l_kind, l_hash, l_exec, l_identity, l_reason'

/** In the place of an identity: what is known there is no file. */
const NO_FILE = '?'
/**
 * All names of a folder with their identities in one text, between slashes, which neither can hold: a hundred thousand rows would each be an
 * object otherwise, five times as slow.
 */
const CHILDREN = `SELECT group_concat(name || '/' || CASE l_kind WHEN 'f' THEN coalesce(l_identity, '') ELSE '${NO_FILE}' END, '/') AS text
  FROM paths WHERE parent = ? AND name <> '' AND l_kind IS NOT NULL`

/** Bounds of everything below a folder in the order of the table; `''` is the root. No text is greater than a blob. */
export function rangeBelow(folder: Path): [from: string, to: Value] {
  return folder === '' ? ['', new Uint8Array(0)] : [`${folder}/`, `${folder}0`]
}

/** The local columns as the scan wants them: what is present or unknown. */
export function knownTree(db: Database): KnownTree {
  const get = (parent: string, name: string): Known | null => {
    const row = db.get<LocalColumns>(
      `SELECT ${LOCAL} FROM paths WHERE parent = ? AND name = ? AND l_kind IS NOT NULL`,
      parent,
      name,
    )
    return row === undefined ? null : knownOf(row)
  }
  return {
    children: (folder) => {
      const files = new Map<string, Identity>()
      const others = new Map<string, Known>()
      const parent = folder === '' ? '' : `${folder}/`
      const parts = db.get<{ text: string | null }>(CHILDREN, parent)?.text?.split('/') ?? []
      for (let i = 0; i < parts.length; i += 2) {
        const [name = '', identity = ''] = [parts[i], parts[i + 1]]
        const other = identity === NO_FILE ? get(parent, name) : null
        if (other === null) files.set(name, identity)
        else others.set(name, other)
      }
      return { files, others, folders: collectFolders(db, parent, others, get) }
    },
    get: (path) => {
      const { parent, name } = placeOf(path)
      return get(parent, name)
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
    filesBelow: function* (folder) {
      const [from, to] = rangeBelow(folder)
      for (const row of db.iterate<{ hash: Uint8Array; size: number; exec: number; identity: string }>(
        `SELECT l_hash AS hash, l_size AS size, l_exec AS exec, l_identity AS identity FROM paths
        WHERE parent >= ? AND parent < ? AND l_kind = 'f' AND l_identity <> ''`,
        from,
        to,
      ))
        yield { identity: row.identity, hash: hashFromBytes(row.hash), size: row.size, executable: row.exec === 1 }
    },
  }
}

const HOP = `parent < ?2 AND l_kind IS NOT NULL ORDER BY parent, name LIMIT 1`
const CHILD = firstSegment('path')
/** From one folder to the next by the index, whatever they hold: a hop within a statement costs a part of what a question costs. */
const FOLDERS = `WITH RECURSIVE found(path) AS (
  SELECT (SELECT parent || name FROM paths WHERE (parent, name) > (?1, x'') AND ${HOP})
  UNION ALL
  SELECT (SELECT parent || name FROM paths WHERE (parent, name) > (CASE path WHEN ?1 || ${CHILD} || '/' THEN path ELSE ?1 || ${CHILD} || '0' END, '') AND ${HOP})
  FROM found WHERE path IS NOT NULL
)
SELECT group_concat(${CHILD} || '/' || (path = ?1 || ${CHILD} || '/'), '/') AS text FROM found WHERE path IS NOT NULL`

function firstSegment(path: string): string {
  const inside = `substr(${path}, length(?1) + 1)`
  return `substr(${inside}, 1, instr(${inside}, '/') - 1)`
}

/**
 * Names of folders with something known inside them; empty ones go into `others`. Every deeper parent is longer, so they stand behind the
 * folder's own items; and behind all of `child/` comes `child0`, which is nothing's parent without a slash behind it.
 */
function collectFolders(
  db: Database,
  parent: string,
  others: Map<string, Known>,
  get: (parent: string, name: string) => Known | null,
): Set<string> {
  const folders = new Set<string>()
  const [, end] = rangeBelow(parent.slice(0, -1))
  const parts = db.get<{ text: string | null }>(FOLDERS, parent, end)?.text?.split('/') ?? []
  for (let i = 0; i < parts.length; i += 2) {
    const [child = '', isMarker] = [parts[i], parts[i + 1]]
    const marker = isMarker === '1' ? get(`${parent}${child}/`, '') : null
    if (marker === null) folders.add(child)
    else others.set(`${child}/`, marker)
  }
  return folders
}

// The column only ever holds what `applyObservations` wrote.
function unknownFor(reason: string | null): Known {
  return { kind: 'unknown', reason: (reason ?? 'unreadable') as Reason }
}

function knownOf(row: LocalColumns): Known {
  if (row.l_kind === 'd') return { kind: 'folder' }
  if (row.l_kind === 'u') return unknownFor(row.l_reason)
  return {
    kind: 'file',
    identity: row.l_identity ?? '',
    hash: hashFromBytes(row.l_hash),
    executable: row.l_exec === 1,
  }
}
