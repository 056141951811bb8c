import { Args, Flags } from '@oclif/core'
import { ForeignCommand } from '../cli/transfer/foreign-command.ts'
import { limitRate } from '../cli/flags.ts'
import { FOREIGN_FORMS, type ForeignForm, importFrom } from '../transfer/foreign.ts'

export default class Import extends ForeignCommand {
  static override summary = 'Bring in what another program keeps.'
  static override description = `--from says whose:

blobs-storage: the folder of one bucket of the Socket.IO server of versioned blobs, with its files XX/REF.json; where one cannot be read, its backup counts. Each becomes the blob REF, which blobs serve gives to the apps of that server.

changelog: a database of Indexed-data-synchronization, of either generation; it is only read. Each row becomes a version of the blob STORE/KEY, in the order of the rows.

addresses: a folder of files that are named by the SHA-256 of what is in them. Each becomes a blob of that name.

Importing again makes no new versions: what was imported before is left as it is, also where it has changed or been deleted here since (--again brings that back). blobs export gives the same bytes back.`
  static override usage = 'import --from FORM PATH BUCKET[/prefix] [--again] [--dry-run]'
  static override examples = [
    {
      description: 'Go on with the data of an original server',
      command: '<%= config.bin %> import --from blobs-storage ~/.local/share/blobs/storage/notes notes',
    },
    {
      description: 'See what would come',
      command: '<%= config.bin %> import --from changelog app.db records --dry-run',
    },
  ]
  static override args = {
    path: Args.string({ description: 'folder or file of the other program', required: true, ignoreStdin: true }),
    target: Args.string({ description: 'bucket or bucket/prefix', required: true, ignoreStdin: true }),
  }
  static override flags = {
    from: Flags.option({ options: FOREIGN_FORMS, description: 'what it is', required: true, helpValue: 'FORM' })(),
    again: Flags.boolean({ description: 'also what was imported before, and changed or deleted since' }),
    'dry-run': Flags.boolean({ char: 'n', description: 'tell what would be imported, and import nothing' }),
    'limit-rate': limitRate(),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Import)
    const again = flags.again === true
    const dryRun = flags['dry-run'] === true
    const form: ForeignForm = flags.from
    await this.move({
      target: args.target,
      access: this.access(flags),
      verb: 'import',
      dryRun,
      act: (context, prefix) => importFrom(context, { form, path: args.path, prefix, dryRun, again }),
    })
  }
}
