import { Args, Flags } from '@oclif/core'
import { requireTarget } from '../cli/bucket-argument.ts'
import { BlobsCommand } from '../cli/command.ts'
import { count, plain, size, table } from '../cli/format.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import { measure, type Size } from '../transfer/measure.ts'

export default class Du extends BlobsCommand {
  static override summary = 'Show how much is in a bucket or folder.'
  static override description = `One line for each folder directly below TARGET, with all that is in it, and one for the whole.

Sizes are those of the blobs. A store needs less for them, because equal content is kept once.`
  static override usage = 'du TARGET [--versions]'
  static override examples = [
    { description: 'What takes the room in a bucket', command: '<%= config.bin %> du team' },
    { description: 'With every older version', command: '<%= config.bin %> du team/photos --versions' },
    { description: 'The bytes alone', command: '<%= config.bin %> du team --json | jq .bytes' },
  ]
  static override args = {
    target: Args.string({ description: 'bucket, bucket/folder or bucket/key', required: true, ignoreStdin: true }),
  }
  static override flags = {
    versions: Flags.boolean({ description: 'count every kept version, not the current ones alone' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Du)
    await using places = openPlaces(this.access(flags))
    const target = requireTarget(places.target(args.target))
    const { bucket, key } = target
    const store = await places.open(target)
    const context = { store, bucket, show: (name: string) => showTarget(target, name) }
    const measured = await measure(context, key, { versions: flags.versions, signal: this.signal })
    const what = flags.versions ? 'version' : 'blob'
    const row = (name: string, one: Size): string[] => [size(one.bytes), count(one.count, what), plain(name)]
    const rows = [
      ...measured.folders.map((folder) => row(`${bucket}/${folder.key}`, folder)),
      row(key === '' ? bucket : `${bucket}/${key}`, measured),
    ]
    const text = table(rows, ['right', 'right', 'left']).join('\n')
    this.output.document({ bucket, key, counted: `${what}s`, ...measured }, text)
  }
}
