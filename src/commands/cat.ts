import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { limitRate } from '../cli/flags.ts'
import { openAddressed } from '../cli/transfer/addressed.ts'
import { parseRange } from '../cli/values.ts'
import { pacer } from '../locations/doctor.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { openTransfer } from '../transfer/context.ts'
import { readBlob } from '../transfer/get.ts'
import { requireBlob } from '../transfer/listing.ts'

export default class Cat extends BlobsCommand {
  static override summary = "Write a blob's bytes to stdout."
  static override description =
    'Nothing but the bytes goes to stdout, with --json too. They are checked against their hash as they pass: a corrupt blob ends with exit code 9 before a wrong byte is written.'
  static override usage = 'cat SOURCE [--version N] [--range A-B]'
  static override examples = [
    { description: 'Show a blob', command: '<%= config.bin %> cat team/notes.md' },
    {
      description: 'Unpack an older version',
      command: '<%= config.bin %> cat backups/site.tar.gz --version 12 | tar xz',
    },
    { description: 'Show the last 200 bytes', command: '<%= config.bin %> cat logs/today.log --range -200' },
  ]
  static override args = {
    source: Args.string({ description: 'bucket/key, or sha256:HEX', required: true, ignoreStdin: true }),
  }
  static override flags = {
    version: Flags.integer({ description: 'this version instead of the current one', min: 1, helpValue: 'N' }),
    range: Flags.string({ description: 'only these bytes: 0-99, 100- or -50', helpValue: 'A-B' }),
    'limit-rate': limitRate(),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cat)
    const range = flags.range === undefined ? undefined : parseRange(flags.range)
    await using places = openPlaces(this.access(flags))
    if (places.addressed(args.source) !== null) {
      if (flags.version !== undefined || range !== undefined)
        throw new BlobsError('InvalidRequest', 'at an address there are no versions and no parts')
      const options = { signal: this.signal, pace: pacer(this.clock, flags['limit-rate']) }
      const { stream } = await openAddressed(places, args.source, options)
      for await (const bytes of stream) await this.output.bytes(bytes)
      return
    }
    const target = requireTarget(places.target(args.source))
    const store = await places.open(target)
    const context = openTransfer({
      store,
      bucket: target.bucket,
      show: (key) => showTarget(target, key),
      device: null,
      ids: this.ids,
      signal: this.signal,
    })
    const info = await requireBlob(context, target.key, flags.version)
    for await (const bytes of readBlob(context, info, range)) await this.output.bytes(bytes)
  }
}
