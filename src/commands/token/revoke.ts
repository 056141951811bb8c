import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { count, localTime } from '../../cli/format.ts'
import { checkTokenId, officeFlags } from '../../cli/token-view.ts'
import { parseTime } from '../../cli/values.ts'
import { openPlaces } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { checkBucketName } from '../../store/contract/keys.ts'

export default class TokenRevoke extends BlobsCommand {
  static override summary = 'End tokens before their time: by id, or all that were made before a moment.'
  static override description = `From now on they are refused, within a second, by every server of the store; also what goes on with them ends: live feeds, uploads, downloads. It cannot be taken back.

An id may be that of a token which is not recorded. --made ends also those that were made with the token. --issued-before ends all that are older, for one bucket (--bucket) or for all that you administer; what does not say when it was made counts as older.`
  static override usage =
    'token revoke ID... [--made] | --issued-before TIME [--bucket BUCKET] [--data DIR | --server URL]'
  static override examples = [
    {
      description: 'End one token',
      command: '<%= config.bin %> token revoke 4b2f0c9e8d7a6b5c4d3e2f1a0b9c8d7e',
    },
    {
      description: 'End all tokens for a bucket that were made until now',
      command: '<%= config.bin %> token revoke --issued-before now --bucket team',
    },
  ]
  static override args = {
    id: Args.string({ description: 'ids of tokens (blobs token ls)', ignoreStdin: true }),
  }
  static override flags = {
    'issued-before': Flags.string({
      description: 'all that were made before: now, 2h, "2026-07-28 14:00"',
      helpValue: 'TIME',
    }),
    bucket: Flags.string({
      description: "only those for exactly this bucket, or '*'",
      helpValue: 'BUCKET',
      dependsOn: ['issued-before'],
    }),
    made: Flags.boolean({ description: 'also tokens that were made with these' }),
    ...officeFlags,
  }
  static override strict = false

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(TokenRevoke)
    const ids = (argv as string[]).map(checkTokenId)
    const { 'issued-before': text, bucket } = flags
    if ((ids.length === 0) === (text === undefined)) {
      throw new BlobsError('InvalidRequest', 'give either ids or --issued-before TIME', {
        hint: 'see the tokens there are: blobs token ls',
      })
    }
    if (bucket !== undefined && bucket !== '*') checkBucketName(bucket)
    await using places = openPlaces(this.access(flags))
    const now = this.clock.now()
    const before = text === undefined ? null : text === 'now' ? now : Date.parse(parseTime(text, now))
    const office = await places.tokens(flags)
    if (before !== null) {
      await office.revokeBefore(bucket ?? null, before)
      const issuedBefore = new Date(before).toISOString()
      const which = bucket === undefined ? 'all tokens' : `all tokens for ${bucket}`
      this.output.document(
        { issuedBefore, bucket: bucket ?? null },
        `revoked ${which} that were made before ${localTime(before)}`,
      )
      return
    }
    const revoked = await office.revoke(ids, flags.made)
    this.output.document({ revoked }, `revoked ${count(revoked.length, 'token')}`)
  }
}
