import { Args, Flags } from '@oclif/core'
import type { Capability } from '../../access/grant.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { checkTokenId, officeFlags, spanOf, tokenJson, whereOf } from '../../cli/token-view.ts'
import { parseDuration } from '../../cli/values.ts'
import { openPlaces } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { checkBucketName, checkKey } from '../../store/contract/keys.ts'

const CAPABILITIES: readonly Capability[] = ['read', 'write', 'delete', 'admin']

export default class TokenCreate extends BlobsCommand {
  static override summary = 'Make a token that lets someone use a bucket of a server.'
  static override description = `The token is printed alone on stdout. Whoever has it may do what it says, until it expires, so hand it on like a password: in a file or an environment variable, never in a command line.

It is signed with TOKEN_SECRET, or with the secret of a server's data directory (--data), which is made when there is none yet. A server with the same secret takes it at once. A running server (--server, BLOBS_SERVER or the profile's) makes it for who has a token that may admin the bucket.

What it allows is recorded there, but never the token itself: blobs token ls.`
  static override usage =
    'token create BUCKET [--can LIST] [--prefix FOLDER]... [--expires SPAN] [--name WHO] [--data DIR | --server URL]'
  static override examples = [
    {
      description: 'A token to read, write and delete in the bucket team',
      command: '<%= config.bin %> token create team > team.token',
    },
    {
      description: 'A token for a month that may only read below reports/',
      command: '<%= config.bin %> token create team --can read --prefix reports --expires 30d --name "print shop"',
    },
    {
      description: 'A token for the operator: everything, in all buckets',
      command: "<%= config.bin %> token create '*' --can read,write,delete,admin",
    },
  ]
  static override args = {
    bucket: Args.string({ description: "the bucket it is for, or '*' for all", required: true, ignoreStdin: true }),
  }
  static override flags = {
    can: Flags.string({
      description: 'what it allows, of read, write, delete, admin',
      helpValue: 'LIST',
      default: 'read,write,delete',
    }),
    prefix: Flags.string({
      description: 'only keys in this folder; may be repeated',
      helpValue: 'FOLDER',
      multiple: true,
      multipleNonGreedy: true,
    }),
    expires: Flags.string({ description: 'how long it lasts: 12h, 30d; default: for ever', helpValue: 'SPAN' }),
    name: Flags.string({ description: 'who it is for; shown in the history', helpValue: 'WHO' }),
    ...officeFlags,
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenCreate)
    const bucket = checkTokenId(args.bucket)
    if (bucket !== '*') checkBucketName(bucket)
    const can = capabilities(flags.can)
    const prefixes = (flags.prefix ?? []).map((prefix) => checkKey(prefix.replace(/\/$/, '')))
    await using places = openPlaces(this.access(flags))
    const expires = flags.expires === undefined ? null : this.clock.now() + parseDuration(flags.expires)
    const office = await places.tokens({ ...flags, make: true })
    const { token, record } = await office.create({
      bucket,
      can,
      ...(prefixes.length === 0 ? {} : { prefixes }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(expires === null ? {} : { expires }),
    })
    this.output.document({ token, ...tokenJson(record) }, token)
    this.output.message(`allows ${record.can.join(', ')} in ${whereOf(record)}, ${spanOf(record)}; id ${record.id}`)
    if (!office.keepsRecords) {
      this.output.message(
        'not recorded: there is no store here (--data DIR); where it is used, it can be revoked by its id',
      )
    }
  }
}

function capabilities(list: string): Capability[] {
  const words = list.split(',').map((word) => word.trim())
  const can = CAPABILITIES.filter((capability) => words.includes(capability))
  const unknown = words.find((word) => !CAPABILITIES.some((capability) => capability === word))
  if (unknown === undefined) return can
  throw new BlobsError('InvalidRequest', `--can: ${JSON.stringify(unknown)} is not something a token can allow`, {
    hint: `there are ${CAPABILITIES.join(', ')}; separate them by commas`,
  })
}
