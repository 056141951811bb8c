import { Args, Flags } from '@oclif/core'
import type { Capability } from '../../access/grant.ts'
import { mintToken } from '../../access/tokens.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { localTime } from '../../cli/format.ts'
import { parseDuration } from '../../cli/values.ts'
import { openPlaces } from '../../locations/places.ts'
import { openSecrets } from '../../locations/secrets.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { checkBucketName, checkKey } from '../../store/contract/keys.ts'

const CAPABILITIES: readonly Capability[] = ['read', 'write', 'delete', 'admin']

export default class TokenCreate extends BlobsCommand {
  static override summary = 'Make a token that lets someone use a bucket of a server.'
  static override description = `The token is printed alone on stdout. Whoever has it may do what it says, until it expires, so hand it on like a password: in a file or an environment variable, never in a command line.

It is signed with TOKEN_SECRET, or with the secret of a server's data directory (--data), which is made when there is none yet. A server with the same secret takes it at once.`
  static override usage =
    'token create BUCKET [--can LIST] [--prefix FOLDER]... [--expires SPAN] [--name WHO] [--data DIR]'
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
    data: Flags.string({ description: "the server's data directory", helpValue: 'DIR', env: 'BLOBS_DATA' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(TokenCreate)
    const { bucket } = args
    if (bucket !== '*') checkBucketName(bucket)
    const can = capabilities(flags.can)
    const prefixes = (flags.prefix ?? []).map((prefix) => checkKey(prefix.replace(/\/$/, '')))
    const now = this.clock.now()
    const expires = flags.expires === undefined ? null : now + parseDuration(flags.expires)
    await using places = openPlaces(this.access(flags))
    const id = this.ids.next()
    const request = {
      bucket,
      can,
      ...(prefixes.length === 0 ? {} : { prefixes }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(expires === null ? {} : { expires }),
    }
    const secrets = await openSecrets(process.env, flags.data ?? places.directories.data)
    const token = await mintToken(request, secrets, { now, id })
    const until = expires === null ? null : new Date(expires).toISOString()
    this.output.document({ token, id, bucket, can, prefixes, name: flags.name ?? '', expires: until }, token)
    const where = prefixes.length === 0 ? bucket : prefixes.map((prefix) => `${bucket}/${prefix}/`).join(', ')
    const span = expires === null ? 'for ever' : `until ${localTime(expires)}`
    this.output.message(`allows ${can.join(', ')} in ${where}, ${span}; id ${id}`)
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
