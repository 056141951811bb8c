import { CopyCommand, copyArgs, copyFlags } from '../cli/transfer/copy-command.ts'

export default class Mv extends CopyCommand {
  static override summary = 'Move or rename blobs or folders, within a bucket or to another one.'
  static override description = `A TARGET that is a bucket or ends with / means "into", under the blob's own name; otherwise it is the exact key, as with blobs cp.

Within a bucket no bytes travel, and each blob goes from its old name to its new one at once: nobody sees neither or both. To another bucket it is a copy, and then a deletion. What somebody changes meanwhile stays where it is, and is named. The old name keeps its history.`
  static override usage = 'mv SOURCE TARGET [-r] [--if-absent]'
  static override examples = [
    { description: 'Rename a blob', command: '<%= config.bin %> mv team/draft.md team/plan.md' },
    { description: 'Move a folder into another one', command: '<%= config.bin %> mv -r team/2025 team/archive/' },
  ]
  static override args = copyArgs
  static override flags = copyFlags

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Mv)
    const expect = flags['if-absent'] ? 'absent' : 'any'
    await this.copy({
      ...args,
      options: { recursive: flags.recursive, move: true, expect },
      access: this.access(flags),
    })
  }
}
