import { dirname, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { limitRate } from '../cli/flags.ts'
import { plain } from '../cli/format.ts'
import type { Progress } from '../cli/progress.ts'
import { FolderCommand, notFolder, showPairing, type SyncedFolder } from '../cli/sync/folder-command.ts'
import { parseMaxDelete } from '../cli/sync/max-delete.ts'
import { brakeText, planLine } from '../cli/sync/present.ts'
import type { Places } from '../locations/places.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { pair, readPairing, type Brake, type DryRun, type SyncEvent, type SyncSummary } from '../sync/agent.ts'

export default class Sync extends FolderCommand {
  static override summary = 'Keep a folder and a bucket the same.'
  static override description = `Makes both sides the same once, or with --watch until it is stopped. The pairing is remembered in FOLDER/.blobs/root.json: later, "blobs sync FOLDER" is enough. A bucket or folder that is missing is made.

Nothing that was saved is lost: files edited on both sides are kept both (see blobs conflicts), replaced and deleted files go to FOLDER/.blobs/trash, and every version stays in the bucket's history. A sync that would delete very many files stops and asks (see blobs approve).

Files that .blobsignore names (the syntax of .gitignore; the file itself is synced) are left alone. When an agent runs for the folder already, it is asked to bring everything up to date, and its answer is shown.`
  static override usage = 'sync FOLDER [BUCKET] [--watch | --dry-run] [--max-delete N|P%] [--exclude PATTERN]...'
  static override examples = [
    { description: 'Pair a folder with a bucket and sync it once', command: '<%= config.bin %> sync ~/notes notes' },
    {
      description: 'With a part of a bucket on a server, until Ctrl-C',
      command: '$ BLOBS_TOKEN_FILE=token <%= config.bin %> sync ~/notes https://blobs.example:7420/team/notes --watch',
    },
    { description: 'Again, later', command: '<%= config.bin %> sync ~/notes' },
    { description: 'Only show what would happen', command: '<%= config.bin %> sync ~/notes --dry-run' },
  ]
  static override args = {
    folder: Args.string({ description: 'folder to sync', required: true, ignoreStdin: true }),
    bucket: Args.string({
      description: 'bucket, bucket/prefix or the URL of one; by default as before',
      ignoreStdin: true,
    }),
  }
  static override flags = {
    watch: Flags.boolean({ char: 'w', description: 'go on until stopped', exclusive: ['dry-run', 'wait'] }),
    'dry-run': Flags.boolean({ char: 'n', description: 'show what would happen, change nothing' }),
    wait: Flags.boolean({
      description:
        'return once everything is in sync that was done before, on either side; what a sync without --watch does anyway',
    }),
    'max-delete': Flags.string({
      description: 'stop and ask when more would be deleted on one side: 100, or 25%',
      helpValue: 'N|P%',
    }),
    exclude: Flags.string({
      description: 'leave alone what matches, on this machine; may be repeated',
      helpValue: 'PATTERN',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'limit-rate': limitRate(),
  }
  static override stream = true
  static override service = true

  /** Failures that were told. One of an earlier sync is not told by the agent again, but whoever runs this one should hear of it. */
  private readonly told = new Set<string>()

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Sync)
    const started = this.clock.elapsed()
    await using places = this.places(this.access(flags), flags['limit-rate'])
    const folder = await this.pairedFolder(places, args.folder, args.bucket, flags['dry-run'])
    const running = await this.runningAgent(places, folder.pairing)
    if (running && !flags.watch && !flags['dry-run']) {
      try {
        this.output.message(`an agent (pid ${running.pid}) keeps this folder in sync; waiting for it`)
        const unused = (['exclude', 'max-delete', 'limit-rate'] as const).filter((name) => flags[name] !== undefined)
        if (unused.length > 0) this.output.message(`it goes by its own --${unused.join(' and --')}`)
        return this.present(folder, await running.wait(), started)
      } finally {
        await running.close()
      }
    }
    await running?.close()
    await this.syncHere(places, folder, flags, started)
  }

  private async syncHere(
    places: Places,
    folder: SyncedFolder,
    flags: { watch: boolean; 'dry-run': boolean; exclude?: string[] | undefined; 'max-delete'?: string | undefined },
    started: number,
  ): Promise<void> {
    const { watch, exclude, 'max-delete': maxDelete } = flags
    // A progress owns the terminal until it ends: none for what goes on for days.
    await using progress = watch ? null : this.progress(`sync ${folder.shown}`)
    const agent = await this.takeFolder(places, folder, {
      onEvent: (event) => this.follow(event, progress),
      ...(exclude === undefined ? {} : { exclude }),
      ...(maxDelete === undefined ? {} : { maxDelete: parseMaxDelete(maxDelete) }),
    })
    try {
      if (flags['dry-run']) return this.presentPlan(await agent.dryRun(this.signal))
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

  private follow(event: SyncEvent, progress: Progress | null): void {
    if (event.type === 'progress') {
      progress?.expect({ bytes: event.totalBytes, items: event.totalFiles })
      progress?.set(event.bytes, event.files)
    }
    if (event.type === 'failed') this.told.add(event.path)
    // A sync that ends tells of a brake at its end.
    if (event.type !== 'brake' || progress === null || this.output.json) this.tellEvent(event)
  }

  private async pairedFolder(
    places: Places,
    path: string,
    bucket: string | undefined,
    dryRun: boolean,
  ): Promise<SyncedFolder> {
    const root = resolve(path)
    const shown = plain(path)
    const known = readPairing(this.fs, root)
    if (bucket === undefined) {
      if (known) return { root, shown, pairing: known }
      throw this.fs.lstat(root) ? this.unpaired(root, shown) : notThere(path)
    }
    const target = places.target(bucket)
    if (target.bucket === '') {
      throw new BlobsError('InvalidRequest', `${plain(bucket)} does not name a bucket`, {
        hint: 'write URL/BUCKET or URL/BUCKET/PREFIX',
      })
    }
    const to = { location: target.location, bucket: target.bucket, prefix: target.key.replace(/\/$/, '') }
    const ports = { fs: this.fs, clock: this.clock, ids: this.ids }
    if (known) return { root, shown, pairing: await pair(root, to, ports) }
    this.checkNewRoot(root, shown, bucket, dryRun)
    // Folder and bucket first, so that a failure leaves no half pairing.
    await this.openOrMake(places, target)
    this.makeFolder(root, shown)
    return { root, shown, pairing: await pair(root, to, ports) }
  }

  private checkNewRoot(root: string, shown: string, bucket: string, dryRun: boolean): void {
    const outer = this.folderAround(dirname(root))
    if (outer !== null) {
      throw new BlobsError('Refused', `${shown} lies in ${plain(outer)}, which is synced as a whole`, {
        hint: `sync that: blobs sync ${plain(outer)} · or take a folder outside of it`,
      })
    }
    const stat = this.fs.lstat(root)
    if (!stat && (dryRun || !this.fs.lstat(dirname(root)))) throw notThere(dryRun ? shown : dirname(root))
    if (stat && stat.kind !== 'folder') throw notFolder(shown)
    if (dryRun) {
      throw new BlobsError('NotFound', `${shown} is not paired with a bucket yet, so there is nothing to compare`, {
        hint: `a first sync deletes and replaces nothing: blobs sync ${shown} ${plain(bucket)}`,
      })
    }
  }

  private unpaired(root: string, shown: string): BlobsError {
    const outer = this.folderAround(dirname(root))
    return new BlobsError('NotFound', `${shown} is not paired with a bucket`, {
      hint:
        outer === null
          ? `pair it: blobs sync ${shown} BUCKET`
          : `it lies in ${plain(outer)}, which is: blobs sync ${plain(outer)}`,
    })
  }

  private presentPlan(plan: DryRun): void {
    for (const line of plan.lines) this.output.item('plan', line, planLine(line))
    const text =
      plan.lines.length === 0
        ? 'nothing to do'
        : `${plan.lines.length.toLocaleString('en-US')} to do; nothing was changed`
    this.output.summary(
      { planned: plan.lines.length, brake: plan.brake },
      plan.brake ? `${text}\nit would stop: ${brakeText(plan.brake)}` : text,
    )
  }

  private present(folder: SyncedFolder, summary: SyncSummary, started: number, stopped = false): void {
    const exitCode = stopped ? 0 : summary.brake ? 12 : summary.failed.length > 0 ? 3 : 0
    for (const { path, code, reason, remedy } of summary.failed) {
      if (!this.told.has(path)) this.tellEvent({ type: 'failed', path, reason: code, message: reason, remedy })
    }
    this.tellSummary(folder, summary, started, exitCode)
    if (exitCode === 12 && summary.brake && !this.output.json) throw braked(summary.brake, folder.shown)
    if (exitCode !== 0) this.exit(exitCode)
  }
}

function notThere(path: string): Error {
  return Object.assign(new Error(`${path} does not exist`), { code: 'ENOENT', path })
}

function braked(brake: Brake, folder: string): BlobsError {
  return new BlobsError('Refused', `${brakeText(brake)}; they wait for your word`, {
    hint: `see them: blobs status ${folder} · let it happen: blobs approve ${folder} · bring them back: blobs reject ${folder}`,
  })
}
