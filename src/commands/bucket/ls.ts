import { Args } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { quotaInWords } from '../../cli/bucket-options.ts'
import { grouped, localTime, size, table } from '../../cli/format.ts'
import { openPlaces } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BucketInfo } from '../../store/contract/types.ts'

export default class BucketLs extends BlobsCommand {
  static override summary = 'List the buckets with what is in them and their options.'
  static override description = 'On a server these are the buckets that your token covers.'
  static override usage = 'bucket ls [SERVER]'
  static override examples = [
    { description: 'List the buckets of the embedded store', command: '<%= config.bin %> bucket ls' },
    { description: 'List those of a server', command: '<%= config.bin %> bucket ls https://blobs.example:7420' },
  ]
  static override args = {
    server: Args.string({ description: 'URL of a server; default: where bare names are looked up', ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BucketLs)
    await using places = openPlaces(this.access(flags))
    const target = args.server === undefined ? null : places.target(args.server)
    if (target && target.bucket !== '') {
      throw new BlobsError('InvalidRequest', `${target.text} names a bucket`, {
        hint: `see it: blobs stat ${target.text}`,
      })
    }
    const buckets: BucketInfo[] = []
    for await (const info of (await places.buckets(target?.location ?? places.here)).list()) buckets.push(info)
    const rows = buckets.map((info) => [
      info.name,
      grouped(info.blobs),
      size(info.bytes),
      quotaInWords(info.options),
      info.options.maxBlobSize === undefined ? '-' : size(info.options.maxBlobSize),
      localTime(Date.parse(info.created)),
    ])
    const header = ['BUCKET', 'BLOBS', 'SIZE', 'QUOTA', 'LARGEST BLOB', 'MADE']
    const text =
      rows.length === 0
        ? 'there are no buckets yet; make one: blobs bucket create NAME'
        : table([header, ...rows], ['left', 'right', 'right', 'right', 'right', 'left']).join('\n')
    this.output.document({ buckets }, text)
  }
}
