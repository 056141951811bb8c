import { Args } from '@oclif/core'
import { count } from '../../cli/format.ts'
import { FolderCommand } from '../../cli/sync/folder-command.ts'
import { conflictText } from '../../cli/sync/present.ts'

export default class Conflicts extends FolderCommand {
  static override summary = 'List the conflicts of a synced folder.'
  static override description = `When a file was edited on both sides, the bucket's version keeps the name and your bytes stay beside it in a conflict file, which is synced like any other. Nothing removes it but you: compare the two, then run blobs conflicts resolve.`
  static override usage = 'conflicts [FOLDER]'
  static override examples = [
    { description: 'The folder that this directory belongs to', command: '<%= config.bin %> conflicts' },
    {
      description: 'Only the names, for a script',
      command: `<%= config.bin %> conflicts ~/notes --json | jq -r 'select(.type == "conflict").path'`,
    },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder, or a path inside it', default: '.', ignoreStdin: true }),
  }
  static override stream = true

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Conflicts)
    const folder = this.findFolder(args.folder)
    const items = await this.ask(this.access(flags), folder, (control) => control.conflicts())
    for (const item of items) this.output.item('conflict', item, conflictText(item, this.clock.now()))
    const files = items.reduce((sum, item) => sum + item.siblings.length, 0)
    const text =
      items.length === 0
        ? 'no conflicts'
        : `${count(items.length, 'conflict')}, ${count(files, 'conflict file')} → blobs conflicts resolve PATH --keep mine|theirs|both`
    this.output.summary({ root: folder.root, conflicts: items.length, files }, text)
  }
}
