import { resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { requireBucket } from '../../cli/bucket-argument.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { count, size } from '../../cli/format.ts'
import { parseDuration } from '../../cli/values.ts'
import { openBuckets } from '../../locations/open.ts'
import { openPlaces, type Places } from '../../locations/places.ts'
import type { Target } from '../../locations/target.ts'
import type { Buckets } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Collected } from '../../store/contract/types.ts'

export default class BucketGc extends BlobsCommand {
  static override summary = 'Let go what a bucket does not keep, and give its room back.'
  static override description = `Versions that the bucket's options do not keep (blobs bucket set --keep-versions, --keep-for) lose their bytes; chunks that no version refers to are removed, if nobody put or asked for them within the grace, so that uploads which are under way lose nothing. It may run while the bucket is in use. In places that several machines use chunks are set aside first, and go when it runs again a grace later.

blobs serve does this by itself, once a day (--gc-every). Without BUCKET: every bucket of the place where bare names are.`
  static override usage = 'bucket gc [BUCKET] [--grace SPAN] [--dry-run] [--data DIR]'
  static override examples = [
    { description: 'See what would go', command: '<%= config.bin %> bucket gc team --dry-run' },
    {
      description: "Do it for all buckets in a server's directory",
      command: '<%= config.bin %> bucket gc --data /srv/blobs',
    },
  ]
  static override args = {
    bucket: Args.string({ description: 'name, or URL that ends with the name', ignoreStdin: true }),
  }
  static override flags = {
    grace: Flags.string({
      description: 'spare chunks that came within this time: longer than the longest upload; at least 1h',
      helpValue: 'SPAN',
      default: '24h',
    }),
    'dry-run': Flags.boolean({ description: 'only say what would go' }),
    data: Flags.string({
      description: 'directory of the store; default: that of the command line',
      helpValue: 'DIR',
      env: 'BLOBS_DATA',
    }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(BucketGc)
    const grace = parseDuration(flags.grace)
    await using places = openPlaces(this.access(flags))
    const target = args.bucket === undefined ? null : requireBucket(places.target(args.bucket))
    const { buckets, close } = await this.place(places, target, flags.data)
    const { collect } = buckets
    if (collect === undefined) throw elsewhere()
    try {
      const names = target === null ? await namesOf(buckets) : [target.bucket]
      const collected: (Collected & { readonly bucket: string })[] = []
      for (const bucket of names) {
        const options = { grace, dryRun: flags['dry-run'], signal: this.signal }
        collected.push({ bucket, ...(await collect(bucket, options)) })
      }
      const text = collected.map((one) => inWords(one, flags['dry-run'])).join('\n')
      this.output.document({ dryRun: flags['dry-run'], buckets: collected }, text || 'there are no buckets')
    } finally {
      await close()
    }
  }

  private async place(
    places: Places,
    target: Target | null,
    data: string | undefined,
  ): Promise<{ readonly buckets: Buckets; readonly close: () => Promise<void> }> {
    const location = target?.location ?? places.here
    if (data === undefined || location !== '') {
      return { buckets: await places.buckets(location), close: async () => undefined }
    }
    const buckets = await openBuckets('', { data: resolve(data), clock: this.clock, ids: this.ids })
    return { buckets, close: () => buckets.close() }
  }
}

async function namesOf(buckets: Buckets): Promise<readonly string[]> {
  const names: string[] = []
  for await (const { name } of buckets.list()) names.push(name)
  return names
}

function elsewhere(): BlobsError {
  return new BlobsError('NotSupported', 'a server collects its garbage by itself', {
    hint: 'how often: blobs serve --gc-every · at once, on its machine: blobs bucket gc --data DIR',
  })
}

function inWords(
  { bucket, dropped, removed, aside, waiting, kept }: Collected & { readonly bucket: string },
  dry: boolean,
): string {
  const would = dry ? 'would go' : 'gone'
  const later =
    aside.chunks === 0
      ? ''
      : `; ${count(aside.chunks, 'chunk')} (${size(aside.bytes)}) ${dry ? 'would be ' : ''}set aside, to go a grace later`
  const spared = waiting.chunks === 0 ? '' : `; ${size(waiting.bytes)} that nothing refers to stay within the grace`
  const versions = count(dropped, 'version')
  return `${bucket}: ${versions} and ${count(removed.chunks, 'chunk')} (${size(removed.bytes)}) ${would}; ${size(kept.bytes)} kept${later}${spared}`
}
