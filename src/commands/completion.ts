import { Args } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { SCRIPTS, SHELLS, type Shell } from '../cli/completion/scripts.ts'

export default class Completion extends BlobsCommand {
  static override summary = 'Print what makes a shell complete commands, flags, buckets and keys.'
  static override description = 'Buckets and keys are those of this machine, or of the server that bare names mean.'
  static override usage = `completion ${SHELLS.join('|')}`
  static override examples = [
    { description: 'bash: into ~/.bashrc', command: '$ source <(<%= config.bin %> completion bash)' },
    { description: 'zsh: into ~/.zshrc, behind compinit', command: '$ source <(<%= config.bin %> completion zsh)' },
    {
      description: 'fish',
      command: '$ <%= config.bin %> completion fish > ~/.config/fish/completions/blobs.fish',
    },
  ]
  static override args = {
    shell: Args.string({ description: 'which shell', required: true, options: [...SHELLS], ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args } = await this.parse(Completion)
    const shell = args.shell as Shell
    this.output.document({ shell, script: SCRIPTS[shell] }, SCRIPTS[shell].trimEnd())
  }
}
