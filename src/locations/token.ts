import { readFileSync } from 'node:fs'
import { BlobsError } from '../store/contract/errors.ts'

/** Where a token may come from; the first that is set is taken, in this order. */
export interface TokenSources {
  readonly fromStdin?: () => Promise<string>
  readonly file?: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/** True when the caller gave a token by hand: it belongs to the one server that the command talks to. */
export function tokenIsGiven(sources: TokenSources): boolean {
  return Boolean(sources.fromStdin ?? sources.file ?? sources.env['BLOBS_TOKEN'] ?? sources.env['BLOBS_TOKEN_FILE'])
}

/** How a token was given by hand. */
export type GivenBy = '--token-stdin' | '--token-file' | 'BLOBS_TOKEN' | 'BLOBS_TOKEN_FILE'

/** The token that was given by hand, or null. Throws `Unauthenticated` when its source holds none; a file that cannot be read is an errno error. */
export async function givenToken({
  fromStdin,
  file,
  env,
}: TokenSources): Promise<{ readonly token: string; readonly by: GivenBy } | null> {
  if (fromStdin) return { token: checkToken(await fromStdin(), 'stdin'), by: '--token-stdin' }
  if (file !== undefined) return { token: readTokenFile(file), by: '--token-file' }
  const { BLOBS_TOKEN: direct, BLOBS_TOKEN_FILE: named } = env
  if (direct) return { token: checkToken(direct, 'BLOBS_TOKEN'), by: 'BLOBS_TOKEN' }
  return named ? { token: readTokenFile(named), by: 'BLOBS_TOKEN_FILE' } : null
}

export function readTokenFile(path: string): string {
  return checkToken(readFileSync(path, 'utf8'), path)
}

/** A token goes into a header: throws `Unauthenticated` for what could not, without showing it. `source` says where it was. */
export function checkToken(text: string, source: string): string {
  const token = text.trim()
  if (/^[\w.~+/=-]+$/.test(token)) return token
  const what = token === '' ? `${source} holds no token` : `what ${source} holds is not a token`
  throw new BlobsError('Unauthenticated', what)
}
