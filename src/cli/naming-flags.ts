import { BlobsError, isBlobsError } from '../store/contract/errors.ts'

/** Throws what kept a server from starting, with the flags that help: a server knows none, who starts it from a shell does. */
export function namingFlags(error: unknown): never {
  if (isBlobsError(error, 'Unavailable')) throw advised(error, 'choose another by --port; --port 0 takes a free one')
  if (!isBlobsError(error, 'Refused')) throw error
  throw advised(error, 'give --tls-cert and --tls-key, or leave --host out and put a proxy that speaks TLS before it')
}

function advised(cause: BlobsError, hint: string): BlobsError {
  return new BlobsError(cause.code, cause.message, { cause, hint })
}
