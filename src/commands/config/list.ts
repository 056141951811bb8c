import { BlobsCommand } from '../../cli/command.ts'
import { plain } from '../../cli/format.ts'
import { profileName } from '../../cli/profile-name.ts'
import { listSettings } from '../../locations/config-file.ts'
import { configFile } from '../../locations/profile.ts'
import { directories } from '../../platform/directories.ts'

export default class ConfigList extends BlobsCommand {
  static override summary = 'Show all profiles and their settings.'
  static override description = `A profile says where bare names are looked up, and how that server is trusted: "server", its URL; "token-file", a file that holds the token; "ca-cert", a PEM file of an authority to trust.

--profile or BLOBS_PROFILE choose one, else it is "default". A flag beats the environment (BLOBS_SERVER, BLOBS_TOKEN_FILE), that beats the profile. No secret is ever kept there.`
  static override usage = 'config [list]'
  static override aliases = ['config']
  static override examples = [
    { description: 'Show all', command: '<%= config.bin %> config list' },
    {
      description: 'The servers of all profiles',
      command: `<%= config.bin %> config list --json | jq '.profiles[].server'`,
    },
  ]

  async run(): Promise<void> {
    const { flags } = await this.parse(ConfigList)
    const { config } = directories(process.env)
    const profiles = listSettings(config)
    const profile = profileName(flags.profile, process.env)
    const path = configFile(config)
    const lines = Object.entries(profiles).flatMap(([name, settings]) => [
      `${plain(name)}${name === profile ? ' (in use)' : ''}`,
      ...Object.entries(settings).map(([setting, value]) => `  ${setting.padEnd(10)}  ${plain(value)}`),
    ])
    const none = `there are no profiles yet; make one: blobs config set server URL`
    this.output.document({ path, profile, profiles }, lines.length === 0 ? none : lines.join('\n'))
  }
}
