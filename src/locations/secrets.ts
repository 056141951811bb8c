import { BadSecret, loadSecrets, type Secrets } from '../access/secrets.ts'
import { BlobsError } from '../store/contract/errors.ts'

/** The secrets that a store's tokens are signed with, as `loadSecrets` finds them. Throws `Refused` for one that cannot be used; errno errors. */
export async function openSecrets(
  env: Readonly<Record<string, string | undefined>>,
  dataDirectory: string,
): Promise<Secrets> {
  try {
    return await loadSecrets(env, dataDirectory)
  } catch (error) {
    if (!(error instanceof BadSecret)) throw error
    throw new BlobsError('Refused', error.message, { cause: error, hint: error.hint })
  }
}
