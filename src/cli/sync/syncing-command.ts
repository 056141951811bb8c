import type { Places } from '../../locations/places.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { AgentOptions, Brake, DryRun, SyncEvent, SyncSummary } from '../../sync/agent.ts'
import type { Progress } from '../progress.ts'
import { grouped } from '../format.ts'
import { FolderCommand, showPairing, type SyncedFolder } from './folder-command.ts'
import { brakeText, planLine } from './present.ts'

/** What the commands share that sync a folder in this very process. */
export abstract class SyncingCommand extends FolderCommand {
  /** Failures that were told. One of an earlier sync is not told by the agent again, but whoever runs this one should hear of it. */
  private readonly told = new Set<string>()

  /** Makes both sides the same, once or until stopped, and tells of it; `started` by `clock.elapsed()`. */
  protected async syncHere(
    places: Places,
    folder: SyncedFolder,
    how: 'once' | 'watch' | 'dry-run',
    started: number,
    options: Pick<AgentOptions, 'exclude' | 'maxDelete'> = {},
  ): Promise<void> {
    const watch = how === 'watch'
    // A progress owns the terminal until it ends: none for what goes on for days.
    await using progress = watch ? null : this.progress(`sync ${folder.shown}`)
    const agent = await this.takeFolder(places, folder, {
      onEvent: (event) => this.follow(event, progress),
      ...options,
    })
    // It is on its way while the folder is looked at; what comes of it is told when it is needed.
    places.open(folder.pairing).catch(() => undefined)
    try {
      if (how === 'dry-run') return this.presentPlan(await agent.dryRun(this.signal))
      if (watch)
        this.output.message(`keeping ${folder.shown} and ${showPairing(folder.pairing)} the same; Ctrl-C stops`)
      const summary = await (watch ? agent.watch(this.signal) : agent.syncOnce(this.signal))
      if (!watch) this.signal.throwIfAborted()
      await progress?.end()
      this.present(folder, summary, started, watch)
    } finally {
      await agent.close()
    }
  }

  /** The end of a sync; ends the command when it did not do everything. */
  protected present(folder: SyncedFolder, summary: SyncSummary, started: number, stopped = false): void {
    const exitCode = stopped ? 0 : summary.brake ? 12 : summary.failed.length > 0 ? 3 : 0
    for (const { path, code, reason, remedy } of summary.failed) {
      if (!this.told.has(path)) this.tellEvent({ type: 'failed', path, reason: code, message: reason, remedy })
    }
    this.tellSummary(folder, summary, started, exitCode)
    if (exitCode === 12 && summary.brake && !this.output.json) throw braked(summary.brake, folder.shown)
    if (exitCode !== 0) this.exit(exitCode)
  }

  private follow(event: SyncEvent, progress: Progress | null): void {
    if (event.type === 'progress') {
      progress?.expect({ bytes: event.totalBytes, items: event.totalFiles })
      progress?.set(event.bytes, event.files)
    }
    if (event.type === 'failed') this.told.add(event.path)
    // A sync that ends tells of a brake at its end.
    if (event.type !== 'brake' || progress === null || this.output.json) this.tellEvent(event)
  }

  private presentPlan(plan: DryRun): void {
    for (const line of plan.lines) this.output.item('plan', line, planLine(line))
    const text = plan.lines.length === 0 ? 'nothing to do' : `${grouped(plan.lines.length)} to do; nothing was changed`
    this.output.summary(
      { planned: plan.lines.length, brake: plan.brake },
      plan.brake ? `${text}\nit would stop: ${brakeText(plan.brake)}` : text,
    )
  }
}

function braked(brake: Brake, folder: string): BlobsError {
  return new BlobsError('Refused', `${brakeText(brake)}; they wait for your word`, {
    hint: `see them: blobs status ${folder} · let it happen: blobs approve ${folder} · bring them back: blobs reject ${folder}`,
  })
}
