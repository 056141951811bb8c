import { resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { followLog, readLog, type LogLine } from '../../agent/log.ts'
import { agentDirectory } from '../../agent/registry.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { localTime, plain } from '../../cli/format.ts'
import { directories } from '../../platform/directories.ts'

export default class AgentLogs extends BlobsCommand {
  static override summary = 'Show what the background agent did.'
  static override description = `The last lines of its log: files that came and went, conflicts, failures, starts and stops. The log is one JSON object a line in $XDG_STATE_HOME/blobs/agent/agent.log, which only you can read; it is kept to some 20 MB. --json shows the objects.`
  static override usage = 'agent logs [FOLDER] [-n LINES] [--follow]'
  static override examples = [
    { description: 'The last lines', command: '<%= config.bin %> agent logs' },
    {
      description: 'What happens to a folder from now on',
      command: '<%= config.bin %> agent logs ~/notes -n 0 --follow',
    },
  ]
  static override args = {
    folder: Args.string({ description: 'only what happened in this folder', ignoreStdin: true }),
  }
  static override flags = {
    lines: Flags.integer({ char: 'n', description: 'how many lines', default: 50, min: 0, helpValue: 'LINES' }),
    follow: Flags.boolean({ char: 'f', description: 'go on with what comes, until Ctrl-C' }),
  }
  static override stream = true
  static override service = true

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentLogs)
    const directory = agentDirectory(directories(process.env).state)
    const folder = args.folder === undefined ? null : resolve(args.folder)
    const wanted = (line: LogLine): boolean => folder === null || line.folder === folder
    const lines = readLog(directory, flags.lines, wanted)
    for (const line of lines) this.show(line)
    if (lines.length === 0 && !flags.follow) this.output.message('the background agent has written nothing yet')
    if (!flags.follow) return this.output.summary({ lines: lines.length })
    for await (const line of followLog(directory, wanted, this.clock, this.signal)) this.show(line)
  }

  private show(line: LogLine): void {
    const { time, event, folder, ...fields } = line
    const where = folder === undefined ? [] : [plain(folder)]
    const told = Object.entries(fields).map(([name, value]) =>
      ['path', 'message', 'state'].includes(name) ? plain(String(value)) : `${name}=${plain(JSON.stringify(value))}`,
    )
    this.output.item('line', line, [localTime(Date.parse(time)), event.padEnd(14), ...where, ...told].join('  '))
  }
}
