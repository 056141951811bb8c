/**
 * How the rows of a change log (seed 002) lie in a bucket: docs/protocol.md says it for people. A record is the blob `STORE/KEY`; each of
 * its rows is a version of it.
 */

/** Metadata of a row that adds: what is in its column `index_values`, where it has one. */
export const INDEX_META = 'changelog-index'
/** Metadata: the value is no text, but `null` or `bytes`. */
export const VALUE_META = 'changelog-value'
/** Metadata of a version that is no row: it is there so that the one after it can be a deletion. */
export const VOID_META = 'changelog-void'
/** Metadata of the folder marker `STORE/`: which form its table has, `1` or `2`. */
export const FORM_META = 'changelog-form'

/** Key of a record. Throws nothing: what cannot be a key is found out by who uses it. */
export function rowKey(store: string, key: string | null): string {
  return `${storePrefix(store)}${escaped(key, 'keep slashes')}`
}

/** What the keys of all records of a store begin with. */
export function storePrefix(store: string): string {
  return `${escaped(store, 'escape slashes')}/`
}

/** The record that a key is of; null when it is of none. */
export function parseRowKey(key: string): { readonly store: string; readonly key: string | null } | null {
  const slash = key.indexOf('/')
  if (slash === -1) return null
  const store = plain(key.slice(0, slash))
  const name = plain(key.slice(slash + 1))
  if (store === undefined || store === null || name === undefined) return null
  return rowKey(store, name) === key ? { store, key: name } : null
}

const NULL = '%null'
const EMPTY = '%empty'

function escaped(text: string | null, slashes: 'keep slashes' | 'escape slashes'): string {
  if (text === null) return NULL
  if (text === '') return EMPTY
  const marked = text.replaceAll('%', '%25').replaceAll('\0', '%00')
  const cut = slashes === 'escape slashes' || text.split('/').includes('') ? marked.replaceAll('/', '%2F') : marked
  if (!cut.isWellFormed() || cut.normalize('NFC') === cut) return cut
  return cut.replaceAll(/[^\0-\x7f]+/g, (part) => encodeURIComponent(part))
}

/** Undefined for what nothing is escaped as. */
function plain(text: string): string | null | undefined {
  if (text === NULL) return null
  if (text === EMPTY) return ''
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Number of a row that came from a table, as its version says by what device it was made. */
export interface RowLabel {
  readonly id: number
  /** Of a row that deletes: its column `index_values`, when it is not an empty text. */
  readonly index?: string | null
}

const LABEL = /^changelog row (\d{1,15})(?: (.*))?$/s

export function rowLabel({ id, index = '' }: RowLabel): string {
  return `changelog row ${id}${index === '' ? '' : ` ${JSON.stringify(index)}`}`
}

/** Null for a version that came from no table. */
export function parseRowLabel(device: string): Required<RowLabel> | null {
  const [, id, index] = LABEL.exec(device) ?? []
  if (id === undefined) return null
  try {
    return { id: Number(id), index: index === undefined ? '' : (JSON.parse(index) as string | null) }
  } catch {
    return null
  }
}
