import { Args } from '@oclif/core'
import { count } from '../cli/format.ts'
import { FolderCommand } from '../cli/sync/folder-command.ts'

export default class Reject extends FolderCommand {
  static override summary = 'Drop the deletes that a sync is holding back: the files come back.'
  static override description = `A sync that would delete very many files on one side stops and asks first. This takes the deletes back that wait now: the files return from the other side. Without a running agent they return at the next blobs sync.`
  static override usage = 'reject [FOLDER]'
  static override examples = [
    { description: 'Look at what waits', command: '<%= config.bin %> status ~/notes' },
    { description: 'Then bring the files back', command: '<%= config.bin %> reject ~/notes' },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder, or a path inside it', default: '.', ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Reject)
    const folder = this.findFolder(args.folder)
    const result = await this.ask(this.access(flags), folder, (control) => control.reject())
    const text =
      result.count === 0 ? 'nothing waits for approval' : `rejected: ${count(result.count, 'file')} will come back`
    this.output.document({ root: folder.root, count: result.count }, text)
  }
}
