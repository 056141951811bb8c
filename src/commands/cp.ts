import { Flags } from '@oclif/core'
import { CopyCommand, copyArgs, copyFlags } from '../cli/transfer/copy-command.ts'

export default class Cp extends CopyCommand {
  static override summary = 'Copy blobs or folders, within a bucket or to another one.'
  static override description = `A TARGET that is a bucket or ends with / means "into", under the blob's own name; otherwise it is the exact key. With -r a folder goes with everything in it: "cp -r b/x c/y" makes c/y/…, "cp -r b/x c/y/" makes c/y/x/…; of a whole bucket goes what is in it.

Within a bucket no bytes travel. To another bucket, here or on a server, they pass through this machine, and only those that are not there yet are sent. A copy has the type and the metadata of the original, and not its older versions.`
  static override usage = 'cp SOURCE TARGET [-r] [--version N] [--if-absent]'
  static override examples = [
    { description: 'Copy a blob', command: '<%= config.bin %> cp team/plan.md team/archive/' },
    { description: 'Copy an older version', command: '<%= config.bin %> cp team/plan.md team/plan-v3.md --version 3' },
    {
      description: 'Copy a whole bucket to a server',
      command: '<%= config.bin %> cp -r team https://blobs.example:7420/team',
    },
  ]
  static override args = copyArgs
  static override flags = {
    ...copyFlags,
    version: Flags.integer({
      description: 'this version instead of the current one',
      min: 1,
      helpValue: 'N',
      exclusive: ['recursive'],
    }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Cp)
    const { version } = flags
    const options = {
      recursive: flags.recursive,
      move: false,
      expect: flags['if-absent'] ? ('absent' as const) : ('any' as const),
      ...(version === undefined ? {} : { version }),
    }
    await this.copy({ ...args, options, access: this.access(flags) })
  }
}
