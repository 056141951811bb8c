import { isAbsolute, relative, resolve, sep } from 'node:path'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Pairing, Selection } from '../../sync/agent.ts'
import { plain } from '../format.ts'

/** What `--only`, `--not` and `--all` say; null: nothing. Throws `InvalidRequest` for what is no folder inside the root. */
export function selectionOf(
  root: string,
  flags: {
    readonly only?: readonly string[] | undefined
    readonly not?: readonly string[] | undefined
    readonly all: boolean
  },
): Selection | null {
  const { only, not, all } = flags
  if (only === undefined && not === undefined && !all) return null
  const paths = (folders: readonly string[] = []): string[] =>
    [...new Set(folders.map((folder) => pathOf(root, folder)))].sort()
  const selection = { only: paths(only), not: paths(not) }
  const lost = selection.only.find((folder) => selection.not.some((other) => `${folder}/`.startsWith(`${other}/`)))
  if (lost === undefined) return selection
  throw new BlobsError('InvalidRequest', `${plain(lost)} is to be synced, and is not`, { hint: 'name it once' })
}

/** A folder as it was given: relative to the synced folder, or absolute. */
function pathOf(root: string, folder: string): string {
  const full = isAbsolute(folder) ? resolve(folder) : resolve(root, folder)
  const path = relative(root, full).split(sep).join('/').normalize('NFC')
  if (path !== '' && path !== '..' && !path.startsWith('../') && path.split('/')[0] !== '.blobs') return path
  throw new BlobsError('InvalidRequest', `${JSON.stringify(folder)} is no folder inside ${plain(root)}`, {
    hint: 'name folders as they are called in it: --not photos/raw',
  })
}

/** `only photos, not photos/raw`; null when everything is. */
export function selectionText({ only = [], not = [] }: Pick<Pairing, 'only' | 'not'>): string | null {
  if (only.length === 0 && not.length === 0) return null
  const wanted = only.length === 0 ? 'everything' : `only ${only.map(plain).join(', ')}`
  return not.length === 0 ? wanted : `${wanted} but ${not.map(plain).join(', ')}`
}
