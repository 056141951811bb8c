import { dirname, join, resolve } from 'node:path'
import { openPlaces, type Places } from '../../locations/places.ts'
import { showTarget } from '../../locations/target.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import {
  askAgent,
  openAgent,
  readPairing,
  type Agent,
  type AgentClient,
  type AgentOptions,
  type Pairing,
} from '../../sync/agent.ts'
import { BlobsCommand, type Access } from '../command.ts'
import { plain } from '../format.ts'

/** A folder that is paired with a bucket. */
export interface SyncedFolder {
  /** Absolute. */
  readonly root: string
  readonly pairing: Pairing
}
/** What can be asked about a synced folder, whoever answers: the agent that runs for it, or this process. */
export type Control = Omit<AgentClient, 'wait' | 'pid'>

/** What the commands about synced folders share: finding the folder, and the one that answers for it. */
export abstract class FolderCommand extends BlobsCommand {
  protected readonly fs: FileSystem = systemFileSystem()

  protected places(access: Access, limitRate?: number): Places {
    return openPlaces({
      ...access,
      clock: this.clock,
      ids: this.ids,
      ...(limitRate === undefined ? {} : { limitRate }),
    })
  }

  /** The synced folder at `path` or above it. Throws `NotFound`. */
  protected findFolder(path: string): SyncedFolder {
    const start = resolve(path)
    for (let root = start; ; root = dirname(root)) {
      const pairing = readPairing(this.fs, root)
      if (pairing) return { root, pairing }
      if (root === dirname(root)) break
    }
    throw new BlobsError('NotFound', `${plain(start)} is not in a synced folder`, {
      hint: 'pair it with a bucket: blobs sync FOLDER BUCKET',
    })
  }

  /** Asks the agent that runs for the folder; without one, opens the folder's state in this process for as long as `act` takes. */
  protected async ask<T>(access: Access, folder: SyncedFolder, act: (control: Control) => Promise<T>): Promise<T> {
    await using places = this.places(access)
    const running = await this.runningAgent(places, folder.pairing)
    if (running) {
      try {
        return await act(running)
      } finally {
        await running.close()
      }
    }
    const agent = await this.takeFolder(places, folder)
    try {
      return await act(asControl(agent))
    } finally {
      await agent.close()
    }
  }

  protected async runningAgent(places: Places, pairing: Pairing): Promise<AgentClient | null> {
    return await askAgent({ runtimeDirectory: places.directories.runtime, rootId: pairing.id })
  }

  /** Throws `Refused`, naming its pid, when an agent has the folder. */
  protected async takeFolder(
    places: Places,
    { root, pairing }: SyncedFolder,
    options: Pick<AgentOptions, 'exclude' | 'maxDelete' | 'onEvent'> = {},
  ): Promise<Agent> {
    return await openAgent({
      folder: root,
      pairing,
      store: await places.open(pairing),
      fs: this.fs,
      clock: this.clock,
      ids: this.ids,
      device: places.device(),
      stateDirectory: places.directories.state,
      runtimeDirectory: places.directories.runtime,
      ...options,
    })
  }
}

/** A pairing's bucket and prefix, as a person would write them. */
export function showPairing(pairing: Pairing): string {
  return plain(showTarget(pairing, pairing.prefix))
}

/** The path of a file within its synced folder, as its key below the pairing's prefix. */
export function pathWithin(folder: SyncedFolder, path: string): string {
  const full = resolve(path)
  const inside = full === folder.root ? '' : full.slice(join(folder.root, '/').length)
  return inside.split('\\').join('/').normalize('NFC')
}

function asControl(agent: Agent): Control {
  return {
    status: async () => agent.status(),
    why: agent.why,
    approve: agent.approve,
    reject: agent.reject,
    conflicts: agent.conflicts,
    resolve: agent.resolveConflict,
    close: agent.close,
  }
}
