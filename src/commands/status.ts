import { join } from 'node:path'
import { Args } from '@oclif/core'
import { shellWord } from '../cli/program-name.ts'
import { FolderCommand, showPairing } from '../cli/sync/folder-command.ts'
import { statusText } from '../cli/sync/present.ts'
import { selectionText } from '../cli/sync/selection.ts'
import type { Waiting } from '../sync/agent.ts'

const SHOWN_PATHS = 20

export default class Status extends FolderCommand {
  static override summary = 'Show how a synced folder is: in sync, what is pending, what waits for you.'
  static override description = `Asks the agent that runs for the folder; without one, tells what the last sync left. Everything that is not in sync is listed with its reason and what to do about it.`
  static override usage = 'status [FOLDER]'
  static override examples = [
    { description: 'The folder that this directory belongs to', command: '<%= config.bin %> status' },
    { description: 'Another folder', command: '<%= config.bin %> status ~/notes' },
    {
      description: 'How many files wait, for a script',
      command: '<%= config.bin %> status ~/notes --json | jq .pending.files',
    },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder, or a path inside it', default: '.', ignoreStdin: true }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Status)
    const folder = this.findFolder(args.folder)
    const status = await this.ask(this.access(flags), folder, (control) => control.status())
    const waiting = status.waiting.map((item) => ({ ...item, remedy: remedyFrom(folder.shown, item) }))
    const shown = { ...status, waiting, location: showPairing(folder.pairing) }
    const { only = [], not = [] } = folder.pairing
    const text = statusText(shown, this.clock.now(), SHOWN_PATHS, selectionText(folder.pairing))
    this.output.document({ ...status, only, not }, text)
  }
}

/** What to run from here, where the folder is called `shown`. */
function remedyFrom(shown: string, item: Waiting): string {
  if (item.type === 'conflict')
    return `blobs conflicts resolve ${shellWord(join(shown, item.path))} --keep mine|theirs|both`
  const folder = shellWord(shown)
  return `blobs approve ${folder} deletes them, blobs reject ${folder} brings them back`
}
