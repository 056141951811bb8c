import { askHost } from '../../agent/control.ts'
import type { FolderReport } from '../../agent/keeper.ts'
import { readRegistry } from '../../agent/registry.ts'
import { BlobsCommand } from '../../cli/command.ts'
import { count, plain, relativeTime, table } from '../../cli/format.ts'
import { stateText, waitsText } from '../../cli/sync/present.ts'
import { directories } from '../../platform/directories.ts'

export default class AgentStatus extends BlobsCommand {
  static override summary = 'Show whether the background agent runs, and how its folders are.'
  static override description = `One line a folder: its state, how many paths are in sync, and what waits for you. "blobs status FOLDER" tells more of one.`
  static override usage = 'agent status'
  static override examples = [
    { description: 'All folders', command: '<%= config.bin %> agent status' },
    {
      description: 'The folders that want something, for a script',
      command: `<%= config.bin %> agent status --json | jq -r '.folders[] | select(.status.waiting | length > 0) | .folder'`,
    },
  ]

  async run(): Promise<void> {
    await this.parse(AgentStatus)
    const where = directories(process.env)
    const { folders: kept } = readRegistry(where.state)
    const host = await askHost(where)
    const reports: readonly FolderReport[] = host
      ? await host.folders()
      : kept.map(({ folder }) => ({ folder, status: null, problem: null }))
    await host?.close()
    const head = host
      ? `the background agent runs (pid ${host.pid}) with ${count(reports.length, 'folder')}`
      : `the background agent does not run; it has ${count(reports.length, 'folder')} → blobs agent start`
    this.output.document(
      { running: host !== null, pid: host?.pid ?? null, folders: reports },
      [head, ...this.folderLines(reports)].join('\n'),
    )
  }

  private folderLines(reports: readonly FolderReport[]): string[] {
    const rows = reports.map(({ folder, status, problem }) => {
      if (status === null) return [plain(folder), problem === null ? 'not kept in sync now' : 'failed', '', '']
      // What to do about it is for blobs status.
      const [state = ''] = stateText(status).split(';')
      return [plain(folder), state, count(status.synced, 'path'), waitsText(status)]
    })
    const lines = table(rows, ['left', 'left', 'right', 'left'])
    return lines.flatMap((line, index) => {
      const problem = reports[index]?.problem ?? null
      if (problem === null) return [`  ${line}`]
      const again = relativeTime(Date.parse(problem.retry), this.clock.now())
      const hint = problem.hint === '' ? [] : [`    → ${plain(problem.hint)}`]
      return [`  ${line}`, `    ${plain(problem.message)}; it tries again ${again}`, ...hint]
    })
  }
}
