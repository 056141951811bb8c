import { Flags } from '@oclif/core'
import { BlobsError } from '../store/contract/errors.ts'
import { localTime, plain } from './format.ts'

/** Where a command finds the tokens that it is about. */
export const officeFlags = {
  data: Flags.string({
    description: "a server's data directory on this machine",
    helpValue: 'DIR',
    exclusive: ['server'],
  }),
  server: Flags.string({
    description: 'URL of a running server, asked with a token that may admin; default: BLOBS_SERVER or the profile',
    helpValue: 'URL',
  }),
}

/** A token as it is shown; times are RFC 3339. */
export interface ShownToken {
  readonly id: string
  readonly name: string
  readonly bucket: string
  readonly prefixes: readonly string[] | null
  readonly can: readonly string[]
  readonly issued: string | null
  readonly expires: string | null
  readonly by?: string
  readonly revoked?: string | null
}

/** The same as JSON is given out. */
export function tokenJson(token: ShownToken) {
  return { ...token, prefixes: token.prefixes ?? [] }
}

/** `team/reports/, team/drafts/` */
export function whereOf({ bucket, prefixes }: Pick<ShownToken, 'bucket' | 'prefixes'>): string {
  return prefixes === null ? bucket : prefixes.map((prefix) => plain(`${bucket}/${prefix}/`)).join(', ')
}

/** `until 2026-07-28 14:02` */
export function spanOf({ expires }: Pick<ShownToken, 'expires'>): string {
  return expires === null ? 'for ever' : `until ${localTime(Date.parse(expires))}`
}

/** What has become of it: `valid`, `expired`, `revoked`. */
export function stateOf({ expires, revoked = null }: ShownToken, now: number): string {
  if (revoked !== null) return 'revoked'
  return expires !== null && Date.parse(expires) <= now ? 'expired' : 'valid'
}

/** Throws `InvalidRequest` where a token was written in place of its id: others on the machine could read it there. */
export function checkTokenId(id: string): string {
  if (!/^eyJ[\w-]+\./.test(id)) return id
  throw new BlobsError('InvalidRequest', 'a token does not belong into a command line, where others can read it', {
    hint: 'give its id, or the token by --token-stdin or --token-file · this one was seen by others now: revoke it',
  })
}
