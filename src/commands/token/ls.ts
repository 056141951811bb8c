import { Flags } from '@oclif/core'
import type { TokenRecord } from '../../access/records.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { localTime, plain, table } from '../../cli/format.ts'
import { officeFlags, stateOf, tokenJson, whereOf } from '../../cli/token-view.ts'
import { openPlaces } from '../../locations/places.ts'
import { checkBucketName } from '../../store/contract/keys.ts'

export default class TokenLs extends BlobsCommand {
  static override summary = 'List the tokens that were made, with what they allow.'
  static override description = `Shows those that are valid, the newest last; with --all also those that expired or were revoked. Tokens made by other programs, or with a TOKEN_SECRET and no store at hand, are not recorded.

On a server these are the tokens for the buckets that your own token may admin.`
  static override usage = 'token ls [--bucket BUCKET] [--all] [--data DIR | --server URL]'
  static override examples = [
    { description: 'List the tokens of this machine', command: '<%= config.bin %> token ls' },
    {
      description: 'List those of a server for one bucket, also those that ended',
      command: '<%= config.bin %> token ls --server https://blobs.example:7420 --bucket team --all',
    },
  ]
  static override flags = {
    bucket: Flags.string({ description: "only tokens for this bucket, or '*'", helpValue: 'BUCKET' }),
    all: Flags.boolean({ char: 'a', description: 'also those that expired or were revoked' }),
    ...officeFlags,
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(TokenLs)
    if (flags.bucket !== undefined && flags.bucket !== '*') checkBucketName(flags.bucket)
    await using places = openPlaces(this.access(flags))
    const office = await places.tokens(flags)
    const now = this.clock.now()
    const tokens: TokenRecord[] = []
    for await (const token of office.list()) {
      const wanted = flags.bucket === undefined || token.bucket === flags.bucket
      if (wanted && (flags.all || stateOf(token, now) === 'valid')) tokens.push(token)
    }
    tokens.sort((a, b) => Date.parse(a.issued) - Date.parse(b.issued) || (a.id < b.id ? -1 : 1))
    const documents = tokens.map((token) => ({ ...tokenJson(token), state: stateOf(token, now) }))
    this.output.document({ tokens: documents }, tokens.length === 0 ? nothing(flags.all) : lines(tokens, now))
  }
}

function nothing(all: boolean): string {
  return all ? 'no token is recorded; make one: blobs token create BUCKET' : 'no valid token is recorded; all: --all'
}

function lines(tokens: readonly TokenRecord[], now: number): string {
  const rows = tokens.map((token) => [
    token.id,
    plain(token.name) || '-',
    whereOf(token),
    token.can.join(','),
    localTime(Date.parse(token.issued)),
    token.expires === null ? 'never' : localTime(Date.parse(token.expires)),
    stateOf(token, now),
  ])
  const header = ['ID', 'NAME', 'WHERE', 'CAN', 'MADE', 'EXPIRES', 'STATE']
  return table(
    [header, ...rows],
    header.map(() => 'left' as const),
  ).join('\n')
}
