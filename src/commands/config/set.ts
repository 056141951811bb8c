import { Args } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { plain } from '../../cli/format.ts'
import { profileName } from '../../cli/profile-name.ts'
import { checkSetting, writeSetting } from '../../locations/config-file.ts'
import { directories } from '../../platform/directories.ts'

export default class ConfigSet extends BlobsCommand {
  static override summary = 'Set one setting of a profile.'
  static override description = `The profile is made if there is none of that name. The rest of the file stays as it is, comments too. A secret is refused: put a token into a file of your own, and name that file.`
  static override usage = 'config set SETTING VALUE [--profile NAME]'
  static override examples = [
    {
      description: 'Look up bare names on a server from now on',
      command: '<%= config.bin %> config set server https://blobs.example:7420',
    },
    {
      description: 'Its token is in this file',
      command: '<%= config.bin %> config set token-file ~/.config/blobs/team.token',
    },
    {
      description: 'A second server, used with --profile work',
      command: '<%= config.bin %> config set server https://blobs.work.example --profile work',
    },
  ]
  static override args = {
    setting: Args.string({ description: 'server, token-file or ca-cert', required: true, ignoreStdin: true }),
    value: Args.string({ description: 'URL or file', required: true, ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigSet)
    const name = checkSetting(args.setting)
    const profile = profileName(flags.profile, process.env)
    const value = await writeSetting(directories(process.env).config, this.ids, { profile, name, value: args.value })
    this.output.document({ profile, setting: name, value }, `${plain(profile)}: ${name} = ${plain(value ?? '')}`)
  }
}
