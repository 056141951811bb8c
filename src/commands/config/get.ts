import { Args } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { profileName } from '../../cli/profile-name.ts'
import { checkSetting, listSettings } from '../../locations/config-file.ts'
import { directories } from '../../platform/directories.ts'
import { BlobsError } from '../../store/contract/errors.ts'

export default class ConfigGet extends BlobsCommand {
  static override summary = 'Print one setting of a profile.'
  static override description =
    'What the file says, whatever the environment may say besides. Exit code 6 if it says nothing.'
  static override usage = 'config get SETTING [--profile NAME]'
  static override examples = [
    { description: 'Where bare names are looked up', command: '<%= config.bin %> config get server' },
    { description: 'The same of another profile', command: '<%= config.bin %> config get server --profile work' },
  ]
  static override args = {
    setting: Args.string({ description: 'server, token-file or ca-cert', required: true, ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigGet)
    const setting = checkSetting(args.setting)
    const profile = profileName(flags.profile, process.env)
    const value = listSettings(directories(process.env).config)[profile]?.[setting]
    if (value === undefined) {
      throw new BlobsError('NotFound', `the profile ${profile} has no ${setting}`, {
        hint: `set it: blobs config set ${setting} VALUE · what there is: blobs config list`,
      })
    }
    this.output.document({ profile, setting, value }, value)
  }
}
