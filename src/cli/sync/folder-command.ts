import { dirname, join, resolve } from 'node:path'
import { openPlaces, type Places } from '../../locations/places.ts'
import { showTarget, type Target } from '../../locations/target.ts'
import { systemFileSystem } from '../../platform/file-system.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import {
  askAgent,
  openAgent,
  readPairing,
  type Agent,
  type AgentClient,
  type AgentOptions,
  type Pairing,
  type SyncEvent,
  type SyncSummary,
} from '../../sync/agent.ts'
import { BlobsCommand, type Access } from '../command.ts'
import { plain } from '../format.ts'
import { agentMessage, eventLine, failureText, summaryLine } from './present.ts'

/** A folder that is paired with a bucket. */
export interface SyncedFolder {
  /** Absolute. */
  readonly root: string
  /** As its user wrote it, or the root; safe to print. */
  readonly shown: string
  readonly pairing: Pairing
}
/** What can be asked about a synced folder, whoever answers: the agent that runs for it, or this process. */
export type Control = Omit<AgentClient, 'wait' | 'pid' | 'invite'>

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
    const root = this.folderAround(start)
    const pairing = root === null ? null : readPairing(this.fs, root)
    if (root !== null && pairing !== null) return { root, pairing, shown: plain(root === start ? path : root) }
    throw new BlobsError('NotFound', `${plain(start)} is not in a synced folder`, {
      hint: 'pair a folder with a bucket: blobs sync FOLDER BUCKET',
    })
  }

  /** The root of the synced folder that `path` (absolute) is, or lies in; or null. */
  protected folderAround(path: string): string | null {
    if (readPairing(this.fs, path)) return path
    return path === dirname(path) ? null : this.folderAround(dirname(path))
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

  /** Makes a bucket where it is missing, and says so. */
  protected async openOrMake(places: Places, target: Pick<Target, 'location' | 'bucket'>): Promise<void> {
    try {
      const store = await places.open(target)
      await store.info()
    } catch (error) {
      if (!isBlobsError(error, 'NotFound')) throw error
      const buckets = await places.buckets(target.location)
      try {
        await buckets.create(target.bucket)
        this.output.message(`made the bucket ${plain(showTarget(target))}`)
      } catch (failure) {
        // Another agent was first.
        if (!isBlobsError(failure, 'AlreadyExists')) throw failure
      }
    }
  }

  /**
   * Throws unless the folder can be synced: `Refused` when it lies in one that is, `InvalidRequest` for what is no folder, ENOENT when
   * neither it nor what should hold it is there.
   */
  protected checkRoot(root: string, shown: string): void {
    const outer = this.folderAround(dirname(root))
    if (outer !== null) {
      throw new BlobsError('Refused', `${shown} lies in ${plain(outer)}, which is synced as a whole`, {
        hint: `sync that: blobs sync ${plain(outer)} · or take a folder outside of it`,
      })
    }
    const stat = this.fs.lstat(root)
    if (!stat && !this.fs.lstat(dirname(root))) throw notThere(dirname(root))
    if (stat && stat.kind !== 'folder') throw notFolder(shown)
  }

  /** Makes the folder, and says so, unless it is there. Throws `InvalidRequest`, or ENOENT when what should hold it is missing. */
  protected makeFolder(root: string, shown: string): void {
    const stat = this.fs.lstat(root)
    if (stat?.kind === 'folder') return
    if (stat) throw notFolder(shown)
    this.fs.mkdir(root)
    this.output.message(`made the folder ${shown}`)
  }

  /** Tells about what an agent did: paths on stdout, the rest on stderr. */
  protected tellEvent(event: SyncEvent): void {
    if (this.output.json) return this.output.item(event.type, event)
    if (event.type === 'failed') return this.output.alert(failureText(event))
    const line = eventLine(event)
    if (line !== null) this.output.line(line)
    const message = agentMessage(event)
    if (message !== null) this.output.message(message)
  }

  /** The last line of a sync; `started` by `clock.elapsed()`. Paths that failed or cannot be synced were told before: here they are counted. */
  protected tellSummary(
    { root, shown, pairing }: SyncedFolder,
    summary: SyncSummary,
    started: number,
    exitCode: number,
  ): void {
    const seconds = (this.clock.elapsed() - started) / 1000
    const { location, bucket, prefix } = pairing
    const [skipped, failed] = [summary.skipped.length, summary.failed.length]
    const fields = {
      root,
      location,
      bucket,
      prefix,
      ...summary,
      skipped,
      failed,
      seconds: Number(seconds.toFixed(3)),
      exitCode,
    }
    this.output.summary(fields, summaryLine(`${shown} = ${showPairing(pairing)}`, summary, seconds))
  }

  protected async runningAgent(places: Places, pairing: Pairing): Promise<AgentClient | null> {
    return await askAgent({ runtimeDirectory: places.directories.runtime, rootId: pairing.id })
  }

  /** Throws `Refused`, naming its pid, when an agent has the folder. */
  protected async takeFolder(
    places: Places,
    { root, pairing }: SyncedFolder,
    options: Pick<AgentOptions, 'exclude' | 'maxDelete' | 'onEvent' | 'invite' | 'background'> = {},
  ): Promise<Agent> {
    return await openAgent({
      folder: root,
      pairing,
      // The folder's own state can be shown, and its agent started, while the server is away.
      store: places.openLater(pairing),
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

export function notThere(path: string): Error {
  return Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT', path })
}

function notFolder(shown: string): BlobsError {
  return new BlobsError('InvalidRequest', `${shown} is not a folder`, { hint: 'give the folder that holds it' })
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
    pause: agent.pause,
    resume: agent.resume,
    close: agent.close,
  }
}
