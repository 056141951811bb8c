import { Args } from '@oclif/core'
import { count } from '../cli/format.ts'
import { FolderCommand } from '../cli/sync/folder-command.ts'

export default class Approve extends FolderCommand {
  static override summary = 'Let a sync do the deletes that it is holding back.'
  static override description = `A sync that would delete very many files on one side stops and asks first. This lets exactly the deletes happen that wait now (blobs status shows them). Without a running agent they happen at the next blobs sync.`
  static override usage = 'approve [FOLDER]'
  static override examples = [
    { description: 'Look at what waits', command: '<%= config.bin %> status ~/notes' },
    { description: 'Then let it happen', command: '<%= config.bin %> approve ~/notes' },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder, or a path inside it', default: '.', ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Approve)
    const folder = this.findFolder(args.folder)
    const result = await this.ask(this.access(flags), folder, (control) => control.approve())
    const text = result.count === 0 ? 'nothing waits for approval' : `approved: ${count(result.count, 'delete')}`
    this.output.document({ root: folder.root, count: result.count }, text)
  }
}
