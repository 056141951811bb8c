import { resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { withoutAccess } from '../../agent/environment.ts'
import { askHost, type HostClient } from '../../agent/control.ts'
import { readRegistry, withFolders, writeRegistry, type KeptFolder } from '../../agent/registry.ts'
import { openService } from '../../agent/service/service.ts'
import { startDetached, thisProgram } from '../../agent/start.ts'
import { exclude, limitRate, maxDelete } from '../../cli/flags.ts'
import { count, plain } from '../../cli/format.ts'
import { FolderCommand, showPairing, type SyncedFolder } from '../../cli/sync/folder-command.ts'
import { parseMaxDelete } from '../../cli/sync/max-delete.ts'
import { openPlaces } from '../../locations/places.ts'
import { saysSingleWriter } from '../../locations/setting.ts'
import { isServer } from '../../locations/target.ts'
import { directories, type Directories } from '../../platform/directories.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import { readPairing } from '../../sync/agent.ts'

/** A process needs so long to answer on a busy machine, in milliseconds. */
const PATIENCE = 20_000

type StartFlags = {
  readonly profile?: string | undefined
  readonly 'token-file'?: string | undefined
  readonly 'ca-cert'?: string | undefined
  readonly 'single-writer'?: boolean
  readonly exclude?: string[] | undefined
  readonly 'max-delete'?: string | undefined
  readonly 'limit-rate'?: number | undefined
}

export default class AgentStart extends FolderCommand {
  static override summary = 'Keep folders in sync in the background.'
  static override description = `Starts the background agent, and gives it FOLDERs, which must be paired with a bucket already (blobs sync, blobs join). It keeps all of them in sync in one process, also after a crash, until "blobs agent stop"; after a restart of the machine, too, where it was installed (blobs agent install). What one folder's bucket or disk does is no matter of the others.

It knows a server by the token that this machine keeps for it, or by --token-file; it takes none from the environment.`
  static override usage =
    'agent start [FOLDER...] [--max-delete N|P%] [--exclude PATTERN]... [--limit-rate RATE] [--no-notify]'
  static override examples = [
    { description: 'Keep a folder in sync from now on', command: '<%= config.bin %> agent start ~/notes' },
    { description: 'Start it again with all its folders', command: '<%= config.bin %> agent start' },
  ]
  static override args = {
    folder: Args.string({ description: 'synced folder', ignoreStdin: true, multiple: true }),
  }
  static override flags = {
    'max-delete': maxDelete(),
    exclude: exclude({ multiple: true }),
    'limit-rate': limitRate(),
    notify: Flags.boolean({
      description: 'tell the desktop of conflicts and held-back deletes; so it does unless told otherwise',
      allowNo: true,
    }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(AgentStart)
    const where = directories(process.env)
    const folders = [args.folder ?? []].flat().map((path) => this.pairedFolder(path))
    const kept = folders.map(({ root }) => keptOf(root, flags))
    for (const folder of folders) await this.checkAccess(folder, keptOf(folder.root, flags))
    const before = readRegistry(where.state)
    const registry = { ...withFolders(before, kept), notify: flags.notify ?? before.notify }
    if (registry.folders.length === 0) {
      throw new BlobsError('InvalidRequest', 'the background agent has no folder to keep in sync yet', {
        hint: 'name one that is paired with a bucket: blobs agent start FOLDER',
      })
    }
    await writeRegistry(where.state, registry, { fs: this.fs, ids: this.ids })
    const host = await this.ensureHost(where)
    try {
      await host.reload()
      for (const { shown, pairing } of folders)
        this.output.message(`${shown} and ${showPairing(pairing)} are kept the same in the background`)
      const text = `the background agent runs (pid ${host.pid}) with ${count(registry.folders.length, 'folder')}; see it: blobs agent status`
      this.output.document(
        { running: true, pid: host.pid, folders: registry.folders.map(({ folder }) => folder) },
        text,
      )
    } finally {
      await host.close()
    }
  }

  private pairedFolder(path: string): SyncedFolder {
    const root = resolve(path)
    const pairing = readPairing(this.fs, root)
    if (pairing !== null) return { root, shown: plain(path), pairing }
    const outer = this.folderAround(root)
    throw new BlobsError('NotFound', `${plain(path)} is not paired with a bucket`, {
      hint:
        outer === null
          ? `pair it first: blobs sync ${plain(path)} BUCKET`
          : `it lies in ${plain(outer)}, which is: blobs agent start ${plain(outer)}`,
    })
  }

  /** Throws when the bucket is there but not for the agent, as it will come to it. A server that is away is waited for later. */
  private async checkAccess({ pairing, shown }: SyncedFolder, kept: KeptFolder): Promise<void> {
    if (pairing.location === '') return
    await using places = openPlaces({ ...kept, env: withoutAccess(process.env), clock: this.clock, ids: this.ids })
    try {
      await places.open(pairing)
    } catch (error) {
      if (isBlobsError(error, 'Unavailable')) return
      if (!isBlobsError(error, 'Unauthenticated') || !isServer(pairing.location)) throw error
      throw new BlobsError('Unauthenticated', `the background agent has no good token for ${showPairing(pairing)}`, {
        cause: error,
        hint: `sign in: blobs login ${pairing.location} · or name the file that holds it: blobs agent start ${shown} --token-file FILE`,
      })
    }
  }

  private async ensureHost(where: Directories): Promise<HostClient> {
    const running = await askHost(where)
    if (running) return running
    await this.startHost()
    const started = this.clock.elapsed()
    while (this.clock.elapsed() - started < PATIENCE) {
      const host = await askHost(where)
      if (host) return host
      await this.clock.sleep(100, this.signal)
      this.signal.throwIfAborted()
    }
    throw new BlobsError('Unavailable', 'the background agent was started but does not answer', {
      hint: 'see why: blobs agent logs · or run it here: blobs agent run',
    })
  }

  /** By the service manager where it is installed there, else by itself. */
  private async startHost(): Promise<void> {
    const supported = ['linux', 'darwin', 'win32'].includes(process.platform)
    const service = supported ? openService([...thisProgram(), 'agent', 'run'], process.env, process.platform) : null
    if (service?.installed() && (await service.start())) return
    startDetached(withoutAccess(process.env))
  }
}

function keptOf(folder: string, flags: StartFlags): KeptFolder {
  const { profile, exclude, 'token-file': given, 'ca-cert': caCert, 'max-delete': maxDelete } = flags
  const tokenFile = given ?? (process.env['BLOBS_TOKEN_FILE'] || undefined)
  const limit = flags['limit-rate']
  const alone = flags['single-writer'] === true || saysSingleWriter(process.env)
  const ofProfile = profile ?? (process.env['BLOBS_PROFILE'] || undefined)
  return {
    folder,
    ...(ofProfile === undefined ? {} : { profile: ofProfile }),
    ...(tokenFile === undefined ? {} : { tokenFile: resolve(tokenFile) }),
    ...(caCert === undefined ? {} : { caCert: resolve(caCert) }),
    ...(alone ? { singleWriter: true } : {}),
    ...(exclude === undefined ? {} : { exclude }),
    ...(maxDelete === undefined ? {} : { maxDelete: parseMaxDelete(maxDelete) }),
    ...(limit === undefined ? {} : { limitRate: limit }),
  }
}
