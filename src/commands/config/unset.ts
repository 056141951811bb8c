import { Args } from '@oclif/core'
import { BlobsCommand } from '../../cli/command.ts'
import { plain } from '../../cli/format.ts'
import { profileName } from '../../cli/profile-name.ts'
import { checkSetting, writeSetting } from '../../locations/config-file.ts'
import { directories } from '../../platform/directories.ts'

export default class ConfigUnset extends BlobsCommand {
  static override summary = 'Take one setting of a profile away.'
  static override description = 'The rest of the file stays as it is.'
  static override usage = 'config unset SETTING [--profile NAME]'
  static override examples = [
    { description: 'Look up bare names in the embedded store again', command: '<%= config.bin %> config unset server' },
  ]
  static override args = {
    setting: Args.string({ description: 'server, token-file or ca-cert', required: true, ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigUnset)
    const name = checkSetting(args.setting)
    const profile = profileName(flags.profile, process.env)
    await writeSetting(directories(process.env).config, this.ids, { profile, name, value: null })
    this.output.document({ profile, setting: name, value: null }, `${plain(profile)}: ${name} is not set any more`)
  }
}
