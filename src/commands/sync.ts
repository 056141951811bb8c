import { dirname, join, resolve } from 'node:path'
import { Args, Flags } from '@oclif/core'
import { exclude, limitRate, maxDelete } from '../cli/flags.ts'
import { plain } from '../cli/format.ts'
import { notThere, type SyncedFolder } from '../cli/sync/folder-command.ts'
import { parseMaxDelete } from '../cli/sync/max-delete.ts'
import { selectionOf, selectionText } from '../cli/sync/selection.ts'
import { SyncingCommand } from '../cli/sync/syncing-command.ts'
import type { Places } from '../locations/places.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { pair, readPairing, select, type Selection } from '../sync/agent.ts'

export default class Sync extends SyncingCommand {
  static override summary = 'Keep a folder and a bucket the same.'
  static override description = `Makes both sides the same once, or with --watch until it is stopped. The pairing is remembered in FOLDER/.blobs/root.json: later, "blobs sync FOLDER" is enough. A bucket or folder that is missing is made.

Nothing that was saved is lost: files edited on both sides are kept both (see blobs conflicts), replaced and deleted files go to FOLDER/.blobs/trash, and every version stays in the bucket's history. A sync that would delete very many files stops and asks (see blobs approve).

With --only or --not a part of the bucket is on this machine; that is remembered, too, until another --only or --not, or --all. DIR is a folder as it is called in FOLDER. What is left out is left alone: it stays on this disk until you delete it, and nothing is deleted elsewhere, whatever you do with it here.

Files that .blobsignore names (the syntax of .gitignore; the file itself is synced) are left alone. When an agent runs for the folder already, it is asked to bring everything up to date, and its answer is shown.`
  static override usage =
    'sync FOLDER [BUCKET] [--watch | --dry-run] [--max-delete N|P%] [--exclude PATTERN]... [--only DIR]... [--not DIR]... [--all]'
  static override examples = [
    { description: 'Pair a folder with a bucket and sync it once', command: '<%= config.bin %> sync ~/notes notes' },
    {
      description: 'With a part of a bucket on a server, until Ctrl-C',
      command: '$ BLOBS_TOKEN_FILE=token <%= config.bin %> sync ~/notes https://blobs.example:7420/team/notes --watch',
    },
    { description: 'Again, later', command: '<%= config.bin %> sync ~/notes' },
    {
      description: 'Everything but two large folders',
      command: '<%= config.bin %> sync ~/notes --not photos --not video',
    },
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
    'max-delete': maxDelete(),
    exclude: exclude({ multiple: true }),
    only: Flags.string({
      description: 'have this folder here, and no others; may be repeated',
      helpValue: 'DIR',
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ['dry-run', 'all'],
    }),
    not: Flags.string({
      description: 'do not have this folder here; may be repeated',
      helpValue: 'DIR',
      multiple: true,
      multipleNonGreedy: true,
      exclusive: ['dry-run', 'all'],
    }),
    all: Flags.boolean({ description: 'have everything here again', exclusive: ['dry-run'] }),
    'limit-rate': limitRate(),
  }
  static override stream = true
  static override service = true

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Sync)
    const started = this.clock.elapsed()
    await using places = this.places(this.access(flags), flags['limit-rate'])
    // Before anything is made: a wrong DIR is a wrong command.
    const selection = selectionOf(resolve(args.folder), flags)
    const paired = await this.pairedFolder(places, args.folder, args.bucket, flags['dry-run'])
    const folder = selection === null ? paired : await this.select(places, paired, selection)
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
    const { exclude, 'max-delete': maxDelete } = flags
    await this.syncHere(places, folder, flags['dry-run'] ? 'dry-run' : flags.watch ? 'watch' : 'once', started, {
      ...(exclude === undefined ? {} : { exclude }),
      ...(maxDelete === undefined ? {} : { maxDelete: parseMaxDelete(maxDelete) }),
    })
  }

  private async select(places: Places, folder: SyncedFolder, selection: Selection): Promise<SyncedFolder> {
    const { root, pairing } = folder
    for (const path of [...selection.only, ...selection.not]) {
      if (this.fs.lstat(join(root, path)) !== null) continue
      const prefix = `${pairing.prefix === '' ? '' : `${pairing.prefix}/`}${path}/`
      const { items } = await (await places.open(pairing)).list({ prefix, limit: 1 })
      if (items.length === 0)
        this.output.message(`there is no folder ${plain(path)} yet, neither here nor in the bucket`)
    }
    const now = await select(this.fs, root, selection)
    this.output.message(`synced here: ${selectionText(now) ?? 'everything'}`)
    return { ...folder, pairing: now }
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
    if (dryRun && !this.fs.lstat(root)) throw notThere(shown)
    this.checkRoot(root, shown)
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
}
