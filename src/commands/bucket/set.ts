import { Args, Flags } from '@oclif/core'
import { requireBucket } from '../../cli/bucket-argument.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { size } from '../../cli/format.ts'
import { parseSize } from '../../cli/values.ts'
import { openPlaces } from '../../locations/places.ts'

export default class BucketSet extends BlobsCommand {
  static override summary = "Change a bucket's options."
  static override description =
    'What is in the bucket already stays as it is. On a server this needs a token that may administer the bucket.'
  static override usage = 'bucket set BUCKET --max-blob-size SIZE|none'
  static override examples = [
    {
      description: 'Take no blob over 100 MB from now on',
      command: '<%= config.bin %> bucket set team --max-blob-size 100MB',
    },
    { description: 'Lift the limit', command: '<%= config.bin %> bucket set team --max-blob-size none' },
  ]
  static override args = {
    bucket: Args.string({ description: 'name, or URL that ends with the name', required: true, ignoreStdin: true }),
  }
  static override flags = {
    'max-blob-size': Flags.string({
      description: 'largest blob it takes, as 100MB, or none',
      helpValue: 'SIZE',
      required: true,
    }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BucketSet)
    const max = flags['max-blob-size']
    const options = max === 'none' ? {} : { maxBlobSize: parseSize(max) }
    await using places = openPlaces(this.access(flags))
    const target = requireBucket(places.target(args.bucket))
    const info = await (await places.buckets(target.location)).configure(target.bucket, options)
    const limit =
      info.options.maxBlobSize === undefined ? 'a blob of any size' : `blobs up to ${size(info.options.maxBlobSize)}`
    this.output.document(info, `${target.bucket} takes ${limit}`)
  }
}
