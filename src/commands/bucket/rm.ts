import { Args, Flags } from '@oclif/core'
import { requireBucket } from '../../cli/bucket-argument.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { confirm } from '../../cli/confirm.ts'
import { count, size } from '../../cli/format.ts'
import { openPlaces } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BucketInfo } from '../../store/contract/types.ts'

export default class BucketRm extends BlobsCommand {
  static override summary = 'Remove a bucket with its whole history.'
  static override description = `Unlike blobs rm this cannot be undone: every version of every blob goes. A bucket that holds blobs needs --yes, or a yes at the terminal.`
  static override usage = 'bucket rm BUCKET [--yes]'
  static override examples = [
    { description: 'Remove an empty bucket', command: '<%= config.bin %> bucket rm scratch' },
    {
      description: 'Remove a bucket with everything in it, without a question',
      command: '<%= config.bin %> bucket rm scratch --yes',
    },
  ]
  static override args = {
    bucket: Args.string({ description: 'name, or URL that ends with the name', required: true, ignoreStdin: true }),
  }
  static override flags = {
    yes: Flags.boolean({ char: 'y', description: 'do not ask' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BucketRm)
    await using places = openPlaces(this.access(flags))
    const target = requireBucket(places.target(args.bucket))
    const info = await (await places.open(target)).info()
    if (!flags.yes && info.blobs > 0) await this.ask(info)
    await (await places.buckets(target.location)).remove(target.bucket)
    this.output.document({ removed: target.bucket, blobs: info.blobs, bytes: info.bytes }, `removed ${target.bucket}`)
  }

  private async ask(info: BucketInfo): Promise<void> {
    const holds = `${info.name} holds ${count(info.blobs, 'blob')} (${size(info.bytes)})`
    const interactive = process.stdin.isTTY && process.stderr.isTTY && !this.output.json
    const yes = interactive && (await confirm(`${holds}. Remove it with its whole history?`, this.signal))
    if (yes) return
    throw new BlobsError(
      'Refused',
      interactive ? `${info.name} was left as it is` : `${holds}, so it is not removed without a yes`,
      {
        bucket: info.name,
        hint: `to remove all of it for good: blobs bucket rm ${info.name} --yes`,
      },
    )
  }
}
