import { Args, Flags } from '@oclif/core'
import { openPlaces, type Places } from '../../locations/places.ts'
import { showTarget, type Target } from '../../locations/target.ts'
import { newOperation, openTransfer } from '../../transfer/context.ts'
import { planCopy, type CopyEnd, type CopyOptions, type CopyResult } from '../../transfer/copy.ts'
import { requireTarget } from '../bucket-argument.ts'
import { BlobsCommand } from '../command.ts'
import { limitRate } from '../flags.ts'
import { count, plain, size } from '../format.ts'
import type { Progress } from '../progress.ts'

export const copyArgs = {
  source: Args.string({
    description: 'bucket/key, with -r also a folder or a bucket',
    required: true,
    ignoreStdin: true,
  }),
  target: Args.string({ description: 'bucket, bucket/folder/ or bucket/key', required: true, ignoreStdin: true }),
}

export const copyFlags = {
  recursive: Flags.boolean({ char: 'r', description: 'take a folder with everything in it' }),
  'if-absent': Flags.boolean({ description: 'only where there is no such blob' }),
  'limit-rate': limitRate(),
}

interface CopyCall {
  readonly source: string
  readonly target: string
  readonly options: CopyOptions
  readonly access: Parameters<typeof openPlaces>[0]
}

/** What `cp` and `mv` share: both ends, the results one by one, and the summary. */
export abstract class CopyCommand extends BlobsCommand {
  static override stream = true

  private blobs = 0
  private bytes = 0

  protected async copy({ source, target, options, access }: CopyCall): Promise<void> {
    const started = this.clock.elapsed()
    await using places = openPlaces(access)
    const [from, to] = [requireTarget(places.target(source)), requireTarget(places.target(target))]
    {
      await using progress = this.progress(`${options.move ? 'mv' : 'cp'} ${plain(source)}`)
      const operation = newOperation(places.device(), this.ids)
      const ends = [await this.end(places, from, operation), await this.end(places, to, operation, progress)] as const
      const plan = await planCopy(...ends, options)
      for await (const result of plan.results) this.tellCopy(result, options.move, plan.folders === null)
      if (plan.folders) {
        const line = `${plain(`${from.bucket}/${plan.folders.from}`)} → ${plain(`${to.bucket}/${plan.folders.to}`)}`
        this.output.line(`${line}  ${count(this.blobs, 'blob')}  ${size(this.bytes)}`)
      }
    }
    const seconds = (this.clock.elapsed() - started) / 1000
    const summary = { blobs: this.blobs, bytes: this.bytes, seconds: Number(seconds.toFixed(3)) }
    this.settle(this.blobs, summary)
  }

  private async end(places: Places, target: Target, operation: string, progress?: Progress): Promise<CopyEnd> {
    const store = await places.open(target)
    const { bucket, key, location } = target
    const context = openTransfer({
      store,
      bucket,
      show: (name) => showTarget(target, name),
      device: places.device(),
      operation,
      ids: this.ids,
      signal: this.signal,
      ...(progress ? { progress } : {}),
    })
    return { context, place: `${location} ${bucket}`, key }
  }

  private tellCopy(result: CopyResult, move: boolean, tell: boolean): void {
    if (result.kind === 'failed') return this.fail(result.name, result.error)
    const { from, info } = result
    this.blobs += 1
    this.bytes += info.size
    const names = `${plain(`${from.bucket}/${from.key}`)} → ${plain(`${info.bucket}/${info.key}`)}`
    const fields = { ...info, from: { bucket: from.bucket, key: from.key, version: from.version } }
    this.output.item(
      move ? 'move' : 'copy',
      fields,
      tell ? `${names}  v${info.version}  ${size(info.size)}` : undefined,
    )
  }
}
