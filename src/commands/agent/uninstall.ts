import { openService } from '../../agent/service/service.ts'
import { thisProgram } from '../../agent/start.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { BlobsError } from '../../store/contract/errors.ts'

export default class AgentUninstall extends BlobsCommand {
  static override summary = 'Do not start the background agent at login any more.'
  static override description = `Stops it and takes it from the service manager. Folders, pairings and the list of folders stay: "blobs agent start" runs it by itself.`
  static override usage = 'agent uninstall'
  static override examples = [{ description: 'Uninstall it', command: '<%= config.bin %> agent uninstall' }]

  async run(): Promise<void> {
    await this.parse(AgentUninstall)
    const service = openService([...thisProgram(), 'agent', 'run'], process.env, process.platform)
    const { manager, file } = service
    if (await service.uninstall()) return this.output.document({ manager, file }, `removed ${file || 'the task'}`)
    throw new BlobsError('NotFound', 'the background agent is not installed', {
      hint: 'one that runs by itself is stopped by: blobs agent stop',
    })
  }
}
