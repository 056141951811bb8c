import { Args } from '@oclif/core'
import { FolderCommand, pathWithin } from '../cli/sync/folder-command.ts'
import { whyText } from '../cli/sync/present.ts'

export default class Why extends FolderCommand {
  static override summary = 'Tell why a path of a synced folder is as it is.'
  static override description = `Shows what is on this disk, what is in the bucket and what both last agreed on, what follows from that, and what to do next if the path is not in sync. The path need not exist.`
  static override usage = 'why PATH'
  static override examples = [
    { description: 'Why a file does not arrive', command: '<%= config.bin %> why notes/plan.md' },
    { description: 'The same for a script', command: '<%= config.bin %> why notes/plan.md --json | jq -r .decision' },
  ]
  static override args = {
    path: Args.string({ description: 'path inside a synced folder', required: true, ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Why)
    const folder = this.findFolder(args.path)
    const report = await this.ask(this.access(flags), folder, (control) => control.why(pathWithin(folder, args.path)))
    this.output.document(report, whyText(report))
  }
}
