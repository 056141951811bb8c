import { resolve } from 'node:path'
import { Args } from '@oclif/core'
import { askHost, endHost } from '../../agent/control.ts'
import { readRegistry, withoutFolders, writeRegistry } from '../../agent/registry.ts'
import { count, plain } from '../../cli/format.ts'
import { FolderCommand } from '../../cli/sync/folder-command.ts'
import { directories, type Directories } from '../../platform/directories.ts'
import { BlobsError } from '../../store/contract/errors.ts'

export default class AgentStop extends FolderCommand {
  static override summary = 'Stop the background agent, or let it leave folders.'
  static override description = `Without FOLDER, stops the background agent; it finishes what it has in hand, and starts again with "blobs agent start", or with the machine where it is installed. With FOLDERs, it goes on without these. Nothing is deleted on either side, and the folders stay paired.`
  static override usage = 'agent stop [FOLDER...]'
  static override examples = [
    { description: 'Stop all of it', command: '<%= config.bin %> agent stop' },
    { description: 'Leave one folder', command: '<%= config.bin %> agent stop ~/notes' },
  ]
  static override args = {
    folder: Args.string({ description: 'folder to leave', ignoreStdin: true, multiple: true }),
  }

  async run(): Promise<void> {
    const { args } = await this.parse(AgentStop)
    const where = directories(process.env)
    const folders = [args.folder ?? []].flat()
    if (folders.length === 0) return await this.stop(where)
    const registry = readRegistry(where.state)
    const roots = folders.map((path) => {
      const root = resolve(path)
      if (registry.folders.some(({ folder }) => folder === root)) return root
      throw new BlobsError('NotFound', `the background agent does not keep ${plain(path)}`, {
        hint: 'what it keeps: blobs agent status',
      })
    })
    const left = withoutFolders(registry, roots)
    await writeRegistry(where.state, left, { fs: this.fs, ids: this.ids })
    const host = await askHost(where)
    await host?.reload()
    await host?.close()
    const rest = left.folders.map(({ folder }) => folder)
    this.output.document(
      { running: host !== null, left: roots, folders: rest },
      `left ${folders.map(plain).join(', ')}; it keeps ${count(rest.length, 'folder')}`,
    )
  }

  private async stop(where: Directories): Promise<void> {
    const pid = await endHost(where, this.clock, this.signal)
    if (pid === null) return this.output.document({ running: false }, 'the background agent does not run')
    this.output.document({ running: false, stopped: pid }, `stopped (pid ${pid})`)
  }
}
