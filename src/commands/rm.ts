import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { count, plain, size } from '../cli/format.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget, type Target } from '../locations/target.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { BlobInfo } from '../store/contract/types.ts'
import { newOperation, openTransfer, type TransferContext } from '../transfer/context.ts'
import { removeTarget, type RemoveOptions } from '../transfer/remove.ts'

export default class Rm extends BlobsCommand {
  static override summary = 'Delete blobs or folders from a bucket.'
  static override description = `A deletion is a version too: what was there stays in the history, and blobs restore brings it back.

What someone else changes while a folder is being deleted stays, and is named.`
  static override usage = 'rm TARGET... [-r] [--if-version N] [--dry-run]'
  static override examples = [
    { description: 'Delete a blob', command: '<%= config.bin %> rm team/old.pdf' },
    {
      description: 'See what deleting a folder would delete',
      command: '<%= config.bin %> rm -r team/drafts --dry-run',
    },
    {
      description: 'Delete only if nobody changed it since version 4',
      command: '<%= config.bin %> rm team/old.pdf --if-version 4',
    },
  ]
  static override args = {
    target: Args.string({
      description: 'bucket/key, with -r also a folder or a bucket',
      required: true,
      multiple: true,
      ignoreStdin: true,
    }),
  }
  static override flags = {
    recursive: Flags.boolean({ char: 'r', description: 'folders with everything in them' }),
    'if-version': Flags.integer({
      description: 'only if this is the current version',
      min: 1,
      helpValue: 'N',
      exclusive: ['recursive'],
    }),
    'dry-run': Flags.boolean({ char: 'n', description: 'tell what would be deleted, and delete nothing' }),
  }
  static override stream = true

  private blobs = 0

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Rm)
    const ifVersion = flags['if-version']
    if (ifVersion !== undefined && args.target.length > 1) {
      throw new BlobsError('InvalidRequest', '--if-version is about one blob', { hint: 'delete the blobs one by one' })
    }
    const options: RemoveOptions = {
      recursive: flags.recursive,
      dryRun: flags['dry-run'],
      ...(ifVersion === undefined ? {} : { ifVersion }),
    }
    await using places = openPlaces(this.access(flags))
    const targets = args.target.map((text) => requireTarget(places.target(text)))
    const device = places.device()
    const operation = newOperation(device, this.ids)
    {
      await using progress = this.progress('rm')
      for (const target of targets) {
        try {
          const store = await places.open(target)
          const context = openTransfer({
            store,
            bucket: target.bucket,
            show: (key) => showTarget(target, key),
            device,
            operation,
            ids: this.ids,
            signal: this.signal,
            progress,
          })
          await this.remove(context, target, options)
        } catch (error) {
          if (targets.length === 1 || this.signal.aborted) throw error
          this.fail(target.text, error)
        }
      }
    }
    this.settle(this.blobs, { blobs: this.blobs, dryRun: options.dryRun })
  }

  private async remove(context: TransferContext, target: Target, options: RemoveOptions): Promise<void> {
    let [blobs, bytes] = [0, 0]
    for await (const result of removeTarget(context, target.key, options)) {
      if (result.kind === 'failed') {
        this.fail(`${context.bucket}/${result.key}`, result.error)
        continue
      }
      blobs += 1
      bytes += result.info.size
      this.blobs += 1
      this.tellOne(result.info, options)
    }
    if (!options.recursive) return
    const name = plain(`${target.bucket}/${target.key}`.replace(/\/?$/, '/'))
    if (options.dryRun)
      this.output.message(`nothing is deleted yet; ${name} holds ${count(blobs, 'blob')}, ${size(bytes)}`)
    else this.output.line(`deleted ${name}  ${count(blobs, 'blob')}`)
  }

  private tellOne(info: BlobInfo, options: RemoveOptions): void {
    const name = plain(`${info.bucket}/${info.key}`)
    if (options.dryRun)
      this.output.item('would-delete', info, `would delete ${name}  v${info.version}  ${size(info.size)}`)
    else this.output.item('delete', info, options.recursive ? undefined : `deleted ${name}  v${info.version}`)
  }
}
