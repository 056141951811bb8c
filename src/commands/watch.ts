import { Args, Flags } from '@oclif/core'
import { requireTarget } from '../cli/bucket-argument.ts'
import { BlobsCommand } from '../cli/command.ts'
import { count, localTime, plain, size } from '../cli/format.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import type { BlobStore } from '../store/contract/blob-store.ts'
import type { BlobInfo, Cursor } from '../store/contract/types.ts'
import { folderOf } from '../transfer/listing.ts'

export default class Watch extends BlobsCommand {
  static override summary = 'Tell what changes in a bucket, as it happens.'
  static override description = `One line a change, in order, until it is told to stop (Ctrl-C). Every change is told, also those made while the connection was down.

Without --since it begins now; with it behind a cursor (the one that an earlier watch ended with, or of a "bookmark" line under --json), or with "start" at the beginning of the bucket's history. A bucket/folder tells what happens in that folder alone.

Under --json each change is a line of type put or delete with what is known of the blob, and after the changes of a moment comes a line of type bookmark: go on from its cursor.`
  static override usage = 'watch BUCKET [--since CURSOR] [--once]'
  static override examples = [
    { description: 'See what others do', command: '<%= config.bin %> watch team' },
    {
      description: 'Start something whenever a report comes in',
      command: `<%= config.bin %> watch team/reports --json | jq -r --unbuffered 'select(.type == "put").key' | while read -r key; do ./publish "$key"; done`,
    },
    {
      description: 'What happened since the last time, and no more',
      command: '<%= config.bin %> watch team --since "$CURSOR" --once --json',
    },
  ]
  static override args = {
    bucket: Args.string({ description: 'bucket, or a folder in it', required: true, ignoreStdin: true }),
  }
  static override flags = {
    since: Flags.string({ description: 'begin behind this cursor; "start": at the beginning', helpValue: 'CURSOR' }),
    once: Flags.boolean({ description: 'end when everything up to now is told' }),
  }
  static override stream = true
  static override service = true

  private changes = 0

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Watch)
    await using places = openPlaces(this.access(flags))
    const target = requireTarget(places.target(args.bucket))
    const store = await places.open(target)
    const since = await this.begin(store, flags.since)
    if (!flags.once) this.output.message(`watching ${plain(args.bucket)}; Ctrl-C stops`)
    const cursor = await this.follow(store, { since, prefix: folderOf(target.key), live: !flags.once })
    const again = cursor === undefined ? '' : `; go on: blobs watch ${showTarget(target, target.key)} --since ${cursor}`
    this.output.summary({ changes: this.changes, cursor: cursor ?? null }, `${count(this.changes, 'change')}${again}`)
  }

  private async begin(store: BlobStore, since: string | undefined): Promise<Cursor | undefined> {
    if (since === 'start') return undefined
    return since ?? (await store.info()).head
  }

  /** The last bookmark. */
  private async follow(
    store: BlobStore,
    { since, prefix, live }: { since: Cursor | undefined; prefix: string; live: boolean },
  ): Promise<Cursor | undefined> {
    let cursor = since
    const options = { live, signal: this.signal, ...(since === undefined ? {} : { since }) }
    for await (const item of store.changes(options)) {
      if (item.type !== 'bookmark') {
        if (item.key.startsWith(prefix)) this.tellChange(item.type, item)
        continue
      }
      // It is repeated as a sign of life.
      if (item.cursor === cursor) continue
      cursor = item.cursor
      this.output.item('bookmark', { cursor })
    }
    return cursor
  }

  private tellChange(type: 'put' | 'delete', info: BlobInfo): void {
    this.changes += 1
    const who = [info.author, info.device].filter((name) => name !== '').map(plain)
    const parts = [
      localTime(Date.parse(info.modified)),
      type.padEnd(6),
      plain(`${info.bucket}/${info.key}`),
      `v${info.version}`,
      ...(info.deleted ? [] : [size(info.size)]),
      ...(who.length === 0 ? [] : [who.join(' on ')]),
    ]
    this.output.item(type, info, parts.join('  '))
  }
}
