import { Args } from '@oclif/core'
import { bucketFlags, changedOptions } from '../../cli/bucket-options.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { openPlaces } from '../../locations/places.ts'
import { showTarget } from '../../locations/target.ts'
import { requireBucket } from '../../cli/bucket-argument.ts'

export default class BucketCreate extends BlobsCommand {
  static override summary = 'Make a bucket.'
  static override description = `A name has 2 to 63 of a-z 0-9 . _ - and starts with a letter or a digit.

On a server this needs a token that may administer buckets; a bucket also comes into being there with the first write by a token made for exactly it.

What the options mean: blobs bucket set --help.`
  static override usage =
    'bucket create BUCKET [--max-blob-size SIZE] [--keep-versions N] [--keep-for SPAN] [--quota SIZE] [--quota-blobs N]'
  static override examples = [
    { description: 'Make a bucket in the embedded store', command: '<%= config.bin %> bucket create team' },
    {
      description: 'Make one on a server that takes no blob over 100 MB',
      command: '<%= config.bin %> bucket create https://blobs.example:7420/team --max-blob-size 100MB',
    },
  ]
  static override args = {
    bucket: Args.string({ description: 'name, or URL that ends with the name', required: true, ignoreStdin: true }),
  }
  static override flags = bucketFlags

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BucketCreate)
    const options = changedOptions({}, flags)
    await using places = openPlaces(this.access(flags))
    const target = requireBucket(places.target(args.bucket))
    const buckets = await places.buckets(target.location)
    const info = await buckets.create(target.bucket, options)
    this.output.document(info, `made ${showTarget(target)}`)
  }
}
