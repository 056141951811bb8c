import { Args, Flags } from '@oclif/core'
import { keptInWords, quotaInWords, originInWords } from '../cli/bucket-options.ts'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { findAddressed } from '../cli/transfer/addressed.ts'
import { grouped, localTime, plain, relativeTime, size } from '../cli/format.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import { showAddress } from '../store/contract/addresses.ts'
import type { BlobInfo, BucketInfo } from '../store/contract/types.ts'
import { requireBlob } from '../transfer/listing.ts'

export default class Stat extends BlobsCommand {
  static override summary = 'Show what is known about a blob or a bucket.'
  static override description =
    'For a blob: its version, size, type, hash, when and where it was written, and its metadata. For a bucket: how much is in it and its options.'
  static override usage = 'stat TARGET [--version N]'
  static override examples = [
    { description: 'Show a blob', command: '<%= config.bin %> stat team/report.pdf' },
    { description: 'Print its SHA-256 alone', command: '<%= config.bin %> stat team/report.pdf --json | jq -r .hash' },
    { description: 'Show a bucket', command: '<%= config.bin %> stat team' },
  ]
  static override args = {
    target: Args.string({ description: 'bucket/key, a bucket, or sha256:HEX', required: true, ignoreStdin: true }),
  }
  static override flags = {
    version: Flags.integer({ description: 'this version instead of the current one', min: 1, helpValue: 'N' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Stat)
    await using places = openPlaces(this.access(flags))
    const now = this.clock.now()
    if (places.addressed(args.target) !== null) {
      const { info, location } = await findAddressed(places, args.target)
      const address = showAddress(info.hash)
      const modified = new Date(info.modified).toISOString()
      const rows = [
        ['size', exactSize(info.size)] as const,
        ['written', moment(modified, now)] as const,
        ['in', location] as const,
      ]
      return this.output.document({ address, ...info, modified, location }, block(address, rows))
    }
    const target = requireTarget(places.target(args.target))
    const store = await places.open(target)
    if (target.key === '') {
      const info = await store.info()
      this.output.document(info, bucketBlock(info, now))
      return
    }
    const info = await requireBlob(
      { store, bucket: target.bucket, show: (key) => showTarget(target, key) },
      target.key,
      flags.version,
    )
    this.output.document(info, blobBlock(info, now))
  }
}

function blobBlock(info: BlobInfo, now: number): string {
  const who = [info.author, info.device].filter((name) => name !== '').map(plain)
  const rows: [string, string][] = [
    ['version', String(info.version)],
    ['size', exactSize(info.size)],
    ['type', plain(info.contentType)],
    ['sha256', info.hash],
    ...(info.modified === ''
      ? []
      : [
          ['written', `${moment(info.modified, now)}${who.length === 0 ? '' : ` by ${who.join(' on ')}`}`] as [
            string,
            string,
          ],
        ]),
    ...Object.entries(info.meta).map(([name, value]): [string, string] => [plain(name), metaText(name, value)]),
  ]
  return block(`${info.bucket}/${info.key}`, rows)
}

function bucketBlock(info: BucketInfo, now: number): string {
  const { maxBlobSize, copyOf } = info.options
  const quota = quotaInWords(info.options)
  return block(info.name, [
    ['blobs', grouped(info.blobs)],
    ['size', exactSize(info.bytes)],
    ['made', moment(info.created, now)],
    ['largest blob', maxBlobSize === undefined ? 'no limit' : exactSize(maxBlobSize)],
    ['quota', quota === '-' ? 'none' : quota],
    ['keeps', keptInWords(info.options)],
    ...(copyOf === undefined ? [] : [['is', originInWords(copyOf).replace(/^is /, '')] as const]),
    ['epoch', info.epoch],
  ])
}

function block(title: string, rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length))
  return [plain(title), ...rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`)].join('\n')
}

function exactSize(bytes: number): string {
  return bytes < 1000 ? size(bytes) : `${size(bytes)} (${grouped(bytes)} bytes)`
}

function moment(time: string, now: number): string {
  const ms = Date.parse(time)
  return `${localTime(ms)} (${relativeTime(ms, now)})`
}

function metaText(name: string, value: string): string {
  const seconds = name === 'mtime' ? Number(value) : Number.NaN
  return Number.isFinite(seconds) ? localTime(seconds * 1000) : plain(value)
}
