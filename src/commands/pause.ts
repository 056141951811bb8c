import { Args, Flags } from '@oclif/core'
import { backgroundFolders } from '../cli/sync/background.ts'
import { FolderCommand } from '../cli/sync/folder-command.ts'
import { pausedText } from '../cli/sync/present.ts'
import { parseDuration } from '../cli/values.ts'

export default class Pause extends FolderCommand {
  static override summary = 'Let folders rest: nothing is synced by itself until they are resumed.'
  static override description = `Whoever keeps FOLDER in sync stops doing so, for as long as --for says or until "blobs resume", also after a restart. Without FOLDER, all folders of the background agent rest. "blobs sync FOLDER" still syncs once when it is told to.`
  static override usage = 'pause [FOLDER] [--for SPAN]'
  static override examples = [
    { description: 'Until told otherwise', command: '<%= config.bin %> pause ~/notes' },
    { description: 'Everything in the background, for an afternoon', command: '<%= config.bin %> pause --for 4h' },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder, or a path inside it', ignoreStdin: true }),
  }
  static override flags = {
    for: Flags.string({ description: 'how long: 30m, 4h, 2d', helpValue: 'SPAN' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Pause)
    const until = flags.for === undefined ? null : this.clock.now() + parseDuration(flags.for)
    const paths = args.folder === undefined ? backgroundFolders() : [args.folder]
    const folders = paths.map((path) => this.findFolder(path))
    for (const folder of folders) await this.ask(this.access(flags), folder, (control) => control.pause(until))
    const end = until === null ? null : new Date(until).toISOString()
    this.output.document(
      { paused: folders.map(({ root }) => root), until: end },
      folders.map(({ shown }) => `${shown}: ${pausedText(end)}`).join('\n'),
    )
  }
}
