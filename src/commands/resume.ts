import { Args } from '@oclif/core'
import { backgroundFolders } from '../cli/sync/background.ts'
import { FolderCommand } from '../cli/sync/folder-command.ts'

export default class Resume extends FolderCommand {
  static override summary = 'Go on with folders that rest.'
  static override description = `Ends a pause (blobs pause): what happened on both sides meanwhile is brought up to date at once by whoever keeps the folder in sync. Without FOLDER, all folders of the background agent go on.`
  static override usage = 'resume [FOLDER]'
  static override examples = [
    { description: 'Go on with a folder', command: '<%= config.bin %> resume ~/notes' },
    { description: 'With everything in the background', command: '<%= config.bin %> resume' },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder, or a path inside it', ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Resume)
    const paths = args.folder === undefined ? backgroundFolders() : [args.folder]
    const folders = paths.map((path) => this.findFolder(path))
    for (const folder of folders) await this.ask(this.access(flags), folder, (control) => control.resume())
    this.output.document(
      { resumed: folders.map(({ root }) => root) },
      folders.map(({ shown }) => `${shown}: goes on`).join('\n'),
    )
  }
}
