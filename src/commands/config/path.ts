import { BlobsCommand } from '../../cli/command.ts'
import { configFile } from '../../locations/profile.ts'
import { directories } from '../../platform/directories.ts'

export default class ConfigPath extends BlobsCommand {
  static override summary = 'Print where the configuration is.'
  static override description = 'The file need not exist.'
  static override usage = 'config path'
  static override examples = [{ description: 'Look at it', command: '$ cat "$(<%= config.bin %> config path)"' }]

  async run(): Promise<void> {
    await this.parse(ConfigPath)
    const path = configFile(directories(process.env).config)
    this.output.document({ path }, path)
  }
}
