import { Args, Flags } from '@oclif/core'
import { FolderCommand, pathWithin } from '../../cli/sync/folder-command.ts'
import { resolvedText } from '../../cli/sync/present.ts'
import type { Keep } from '../../sync/agent.ts'

export default class ConflictsResolve extends FolderCommand {
  static override summary = 'End a conflict: keep your bytes, the others, or both.'
  static override description = `PATH is the file's name or one of its conflict files.

mine: the conflict file's bytes take the name; what was there stays in the history. theirs: the name stays as it is; the conflict file goes to .blobs/trash. both: the conflict file becomes an ordinary file under a plain name. With several conflict files, mine needs to be told which one.`
  static override usage = 'conflicts resolve PATH --keep mine|theirs|both'
  static override examples = [
    {
      description: 'My edit is the right one',
      command: '<%= config.bin %> conflicts resolve notes/plan.md --keep mine',
    },
    {
      description: 'The edit that has the name is the right one',
      command: '<%= config.bin %> conflicts resolve notes/plan.md --keep theirs',
    },
    {
      description: 'Keep both as ordinary files',
      command: '<%= config.bin %> conflicts resolve notes/plan.md --keep both',
    },
  ]
  static override args = {
    path: Args.string({ description: 'the file, or one of its conflict files', required: true, ignoreStdin: true }),
  }
  static override flags = {
    keep: Flags.option({
      description: 'whose bytes take the name',
      options: ['mine', 'theirs', 'both'] as const satisfies readonly Keep[],
      required: true,
    })(),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConflictsResolve)
    const folder = this.findFolder(args.path)
    const path = pathWithin(folder, args.path)
    const result = await this.ask(this.access(flags), folder, (control) => control.resolve(path, flags.keep))
    this.output.document(result, resolvedText(result))
  }
}
