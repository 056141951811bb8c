import { withoutAccess } from '../../agent/environment.ts'
import { agentDirectory, readRegistry, type KeptFolder } from '../../agent/registry.ts'
import { takeHost } from '../../agent/control.ts'
import { openHost, type Host } from '../../agent/host.ts'
import type { OpenedAgent } from '../../agent/keeper.ts'
import type { AgentMetrics } from '../../agent/metrics.ts'
import { openLog, type AgentLog } from '../../agent/log.ts'
import { desktop, openNotifier } from '../../agent/notify.ts'
import { FolderCommand } from '../../cli/sync/folder-command.ts'
import { openPlaces } from '../../locations/places.ts'
import { directories } from '../../platform/directories.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { readPairing, type SyncEvent } from '../../sync/agent.ts'

/** What a service manager runs; people say `blobs agent start`. */
export default class AgentRun extends FolderCommand {
  static override summary = 'Be the background agent, until it is told to stop.'
  static override description = `What "blobs agent start" and service managers run. It keeps all folders in sync that "blobs agent start FOLDER" named, and writes its log to a file (blobs agent logs).`
  static override usage = 'agent run'
  static override hidden = true
  static override service = true

  async run(): Promise<void> {
    await this.parse(AgentRun)
    const where = directories(process.env)
    const log = openLog({ directory: agentDirectory(where.state), clock: this.clock })
    const stopping = new AbortController()
    const signal = AbortSignal.any([this.signal, stopping.signal])
    const show = desktop(process.env, process.platform)
    const host = openHost({
      open: (kept, onEvent) => this.open(kept, onEvent, log),
      clock: this.clock,
      log,
      notifier: show === null ? null : openNotifier(show, this.clock, signal),
      onEvent: (folder, event) => metrics?.event(folder, event),
    })
    let metrics: AgentMetrics | null = null
    const follow = (): Promise<void> => host.follow(readRegistry(where.state))
    const handlers = { folders: () => host.reports(), reload: follow, stop: () => stopping.abort() }
    const taken = await takeHost(where, handlers, this.clock)
    const crashed = (error: unknown): void => crash(log, error)
    process.on('uncaughtException', crashed)
    try {
      log.write('started', { pid: process.pid, version: this.config.version })
      metrics = await this.metrics(host, log)
      await follow()
      if (process.stderr.isTTY)
        this.output.message(
          'the background agent runs here; Ctrl-C stops it, and blobs agent logs --follow shows what it does',
        )
      await aborted(signal)
      await this.end(host, log)
    } finally {
      process.off('uncaughtException', crashed)
      await metrics?.close()
      await taken.close()
    }
  }

  /** Only who wants them has what they take loaded. */
  private async metrics(host: Host, log: AgentLog): Promise<AgentMetrics | null> {
    const directory = process.env['BLOBS_METRICS_DIR']
    if (!directory) return null
    const { openAgentMetrics } = await import('../../agent/metrics.ts')
    const { fs, clock, ids } = this
    const onProblem = (message: string): void => log.write('metrics', { problem: message })
    return openAgentMetrics({ directory, reports: () => host.reports(), onProblem, fs, clock, ids })
  }

  private async end(host: Host, log: AgentLog): Promise<void> {
    log.write('stopping', { pid: process.pid })
    await host.close()
    log.write('stopped', { pid: process.pid })
  }

  /** A folder's own agent, with places of its own: no folder's token, store or trouble is another's. */
  private async open(kept: KeptFolder, onEvent: (event: SyncEvent) => void, log: AgentLog): Promise<OpenedAgent> {
    const { folder } = kept
    if (this.fs.lstat(folder) === null) throw new BlobsError('NotFound', `${folder} is not there`)
    const pairing = readPairing(this.fs, folder)
    if (pairing === null) {
      throw new BlobsError('NotFound', `${folder} is not paired with a bucket any more`, {
        hint: `pair it: blobs sync ${folder} BUCKET · or leave it: blobs agent stop ${folder}`,
      })
    }
    const places = openPlaces({
      env: withoutAccess(process.env),
      ...(kept.profile === undefined ? {} : { profile: kept.profile }),
      ...(kept.tokenFile === undefined ? {} : { tokenFile: kept.tokenFile }),
      ...(kept.caCert === undefined ? {} : { caCert: kept.caCert }),
      ...(kept.singleWriter === undefined ? {} : { singleWriter: kept.singleWriter }),
      ...(kept.limitRate === undefined ? {} : { limitRate: kept.limitRate }),
      onRetry: (error, pause) => log.write('retry', { folder, message: error.message, pause }),
      onWarning: (message) => log.write('warning', { folder, message }),
      clock: this.clock,
      ids: this.ids,
    })
    const close = async (): Promise<void> => places[Symbol.asyncDispose]()
    try {
      const agent = await this.takeFolder(
        places,
        { root: folder, shown: folder, pairing },
        {
          onEvent,
          background: true,
          ...(kept.exclude === undefined ? {} : { exclude: kept.exclude }),
          ...(kept.maxDelete === undefined ? {} : { maxDelete: kept.maxDelete }),
        },
      )
      return {
        agent,
        close: async () => {
          await agent.close()
          await close()
        },
      }
    } catch (error) {
      await close()
      throw error
    }
  }
}

/** A mistake of ours: what is written down by now is whole, and whoever started this starts it again. */
function crash(log: AgentLog, error: unknown): void {
  log.write('crashed', { error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  // oxlint-disable-next-line unicorn/no-process-exit
  process.exit(1)
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
