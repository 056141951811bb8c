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

/** The token that was given by hand, or null. Throws `Unauthenticated` when its source holds none; a file that cannot be read is an errno error. */
export async function givenToken(sources: TokenSources): Promise<string | null> {
  if (sources.fromStdin) return checked(await sources.fromStdin(), 'stdin')
  if (sources.file !== undefined) return readTokenFile(sources.file)
  const direct = sources.env['BLOBS_TOKEN']
  if (direct) return checked(direct, 'BLOBS_TOKEN')
  const file = sources.env['BLOBS_TOKEN_FILE']
  return file ? readTokenFile(file) : null
}

export function readTokenFile(path: string): string {
  return checked(readFileSync(path, 'utf8'), path)
}

// A token goes into a header: what could not is told here, without showing it.
function checked(text: string, source: string): string {
  const token = text.trim()
  if (/^[\w.~+/=-]+$/.test(token)) return token
  const what = token === '' ? `${source} holds no token` : `what ${source} holds is not a token`
  throw new BlobsError('Unauthenticated', what)
}
