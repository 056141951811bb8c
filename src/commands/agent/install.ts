import { Flags } from '@oclif/core'
import { readRegistry } from '../../agent/registry.ts'
import { openService } from '../../agent/service/service.ts'
import { thisProgram } from '../../agent/start.ts'
import { endHost } from '../../agent/control.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { count } from '../../cli/format.ts'
import { directories, type Directories } from '../../platform/directories.ts'
import { BlobsError } from '../../store/contract/errors.ts'

export default class AgentInstall extends BlobsCommand {
  static override summary = 'Start the background agent whenever you log in.'
  static override description = `Tells the service manager of this system to run the background agent for you, now and at every login, and again after a crash: a systemd user unit on Linux, a launchd agent on macOS, a scheduled task on Windows (that one is untested). No administrator is needed. Which folders it keeps is said by "blobs agent start FOLDER".`
  static override usage = 'agent install [--print]'
  static override examples = [
    { description: 'Install it', command: '<%= config.bin %> agent install' },
    { description: 'Only show what would be installed', command: '<%= config.bin %> agent install --print' },
  ]
  static override flags = {
    print: Flags.boolean({ description: 'show the unit, property list or command; change nothing' }),
  }

  async run(): Promise<void> {
    const { flags } = await this.parse(AgentInstall)
    const service = openService([...thisProgram(), 'agent', 'run'], process.env, process.platform)
    const { manager, file, text, byHand } = service
    if (flags.print) return this.output.document({ manager, file, text }, text.trimEnd())
    const where = directories(process.env)
    if (!(await service.install(() => this.makeWay(where)))) {
      throw new BlobsError('Unavailable', `${file === '' ? manager : file} is ready, but ${manager} does not answer`, {
        hint: `in a session of yours: ${byHand}`,
      })
    }
    const { folders } = readRegistry(where.state)
    if (manager === 'systemd')
      this.output.message('to keep it running while you are logged out: loginctl enable-linger')
    if (manager === 'Windows') this.output.message('this was never tested on Windows')
    const next = folders.length === 0 ? '; give it a folder: blobs agent start FOLDER' : ''
    this.output.document(
      { manager, file },
      `installed for ${manager}${file === '' ? '' : `: ${file}`}, with ${count(folders.length, 'folder')}${next}`,
    )
  }

  /** One that runs already has the place that the manager's needs; it may be an older one. */
  private async makeWay(where: Directories): Promise<void> {
    const pid = await endHost(where, this.clock, this.signal)
    if (pid !== null) this.output.message(`stopped the one that ran (pid ${pid})`)
  }
}
