import { Args } from '@oclif/core'
import { requireBucket } from '../../cli/bucket-argument.ts'
import { bucketFlags, changedOptions, optionsInWords } from '../../cli/bucket-options.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { openPlaces } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'

export default class BucketSet extends BlobsCommand {
  static override summary = "Change a bucket's options."
  static override description = `Options that are not named stay as they are. On a server this needs a token that may administer the bucket.

Versions that the bucket does not keep lose their bytes when garbage is collected: blobs bucket gc, and blobs serve by itself. With both --keep-versions and --keep-for a version stays that either of them keeps. The current blob always stays.

A quota counts the current blobs, not their older versions.`
  static override usage =
    'bucket set BUCKET [--max-blob-size SIZE|none] [--keep-versions N|none] [--keep-for SPAN|none] [--quota SIZE|none] [--quota-blobs N|none]'
  static override examples = [
    {
      description: 'Take no blob over 100 MB from now on',
      command: '<%= config.bin %> bucket set team --max-blob-size 100MB',
    },
    { description: 'Lift the limit', command: '<%= config.bin %> bucket set team --max-blob-size none' },
    {
      description: 'Keep ten versions of each key, and all of the last month',
      command: '<%= config.bin %> bucket set team --keep-versions 10 --keep-for 30d',
    },
  ]
  static override args = {
    bucket: Args.string({ description: 'name, or URL that ends with the name', required: true, ignoreStdin: true }),
  }
  static override flags = bucketFlags

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BucketSet)
    if (Object.keys(bucketFlags).every((name) => flags[name as keyof typeof bucketFlags] === undefined)) {
      throw new BlobsError('InvalidRequest', 'there is nothing to change', {
        hint: `name an option: --${Object.keys(bucketFlags).join(', --')}`,
      })
    }
    // What is wrong in them is told before anything is asked.
    changedOptions({}, flags)
    await using places = openPlaces(this.access(flags))
    const target = requireBucket(places.target(args.bucket))
    const { options } = await (await places.open(target)).info()
    const buckets = await places.buckets(target.location)
    const info = await buckets.configure(target.bucket, changedOptions(options, flags))
    this.output.document(info, `${target.bucket} ${optionsInWords(info.options).join('; ')}`)
  }
}
