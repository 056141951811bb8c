import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { localTime, plain, relativeTime, size, table } from '../cli/format.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import type { BlobInfo } from '../store/contract/types.ts'
import { requireBlob, versionsOf } from '../transfer/listing.ts'

export default class History extends BlobsCommand {
  static override summary = 'Show the versions of a blob, newest first.'
  static override description =
    'Every put and every deletion is a version. Any of them can be read (blobs get --version) and brought back (blobs restore), but for those whose bytes the bucket does not keep (blobs bucket set --keep-versions).'
  static override usage = 'history TARGET [--limit N]'
  static override examples = [
    { description: 'Show the versions of a blob', command: '<%= config.bin %> history team/report.pdf' },
    { description: 'One JSON line a version', command: '<%= config.bin %> history team/report.pdf --json' },
  ]
  static override args = {
    target: Args.string({ description: 'bucket/key', required: true, ignoreStdin: true }),
  }
  static override flags = {
    limit: Flags.integer({ description: 'show only this many', min: 1, helpValue: 'N' }),
  }
  static override stream = true

  async run(): Promise<void> {
    const { args, flags } = await this.parse(History)
    await using places = openPlaces(this.access(flags))
    const target = requireTarget(places.target(args.target))
    const { bucket } = target
    const context = { store: await places.open(target), bucket, show: (key: string) => showTarget(target, key) }
    const all = target.key === '' ? [] : await versionsOf(context, target.key)
    // It tells what the name is instead, or that there is nothing.
    if (all.length === 0) await requireBlob(context, target.key)
    const versions = all.slice(0, flags.limit ?? all.length)
    const now = this.clock.now()
    const rows = versions.map((info) => row(info, all, now))
    const header = ['VERSION', 'WHEN', '', 'SIZE', 'WHO', '']
    const lines = table([header, ...rows], ['right', 'left', 'left', 'right', 'left', 'left'])
    this.output.line(lines[0] ?? '')
    for (const [index, info] of versions.entries()) this.output.item('version', info, lines[index + 1])
    this.output.summary({ versions: all.length, shown: versions.length })
  }
}

function row(info: BlobInfo, all: readonly BlobInfo[], now: number): string[] {
  const time = Date.parse(info.modified)
  const who = [info.author, info.device].filter((name) => name !== '').map(plain)
  return [
    String(info.version),
    localTime(time),
    relativeTime(time, now),
    info.deleted ? '-' : size(info.size),
    who.length === 0 ? '-' : who.join(' on '),
    note(info, all),
  ]
}

function note(info: BlobInfo, all: readonly BlobInfo[]): string {
  if (info.deleted) return 'deleted'
  if (info.dropped) return 'not kept'
  const same = all.findLast((older) => older.version < info.version && !older.deleted && older.hash === info.hash)
  return same ? `same bytes as ${same.version}` : ''
}
