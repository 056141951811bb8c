import { Args, Flags } from '@oclif/core'
import { ForeignCommand } from '../cli/transfer/foreign-command.ts'
import { limitRate } from '../cli/flags.ts'
import { exportTo, FOREIGN_FORMS, type ForeignForm } from '../transfer/foreign.ts'

export default class Export extends ForeignCommand {
  static override summary = 'Write blobs as another program keeps them.'
  static override description = `--to says for whom; the forms are those of blobs import, and what was imported comes out byte for byte.

blobs-storage: PATH becomes the folder of a bucket of the Socket.IO server of versioned blobs: of each blob whose key is a ref, the present version. One that was set here goes on counting from the version that was imported.

changelog: PATH becomes a new database of Indexed-data-synchronization: of each blob STORE/KEY, every version as a row of the table STORE, with the number that it was imported with, or else a greater one than those before.

addresses: of each blob whose key is its SHA-256, a file of that name in the folder PATH.

Other keys are listed and left out. Files that are there just so are left alone.`
  static override usage = 'export --to FORM BUCKET[/prefix] PATH [--dry-run]'
  static override examples = [
    {
      description: 'Go back to an original server',
      command: '<%= config.bin %> export --to blobs-storage notes ~/.local/share/blobs/storage/notes',
    },
    { description: 'Write a database', command: '<%= config.bin %> export --to changelog records app.db' },
  ]
  static override args = {
    target: Args.string({ description: 'bucket or bucket/prefix', required: true, ignoreStdin: true }),
    path: Args.string({ description: 'folder or file for the other program', required: true, ignoreStdin: true }),
  }
  static override flags = {
    to: Flags.option({ options: FOREIGN_FORMS, description: 'what it shall be', required: true, helpValue: 'FORM' })(),
    'dry-run': Flags.boolean({ char: 'n', description: 'tell what would be written, and write nothing' }),
    'limit-rate': limitRate(),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Export)
    const dryRun = flags['dry-run'] === true
    const form: ForeignForm = flags.to
    await this.move({
      target: args.target,
      access: this.access(flags),
      verb: 'export',
      dryRun,
      act: (context, prefix) => exportTo(context, { form, path: args.path, prefix, dryRun }),
    })
  }
}
