import { openPlaces } from '../../locations/places.ts'
import { showTarget } from '../../locations/target.ts'
import { openTransfer, type TransferContext } from '../../transfer/context.ts'
import type { importFrom } from '../../transfer/foreign.ts'
import { requireTarget } from '../bucket-argument.ts'
import { type Access, BlobsCommand } from '../command.ts'
import { count, duration, plain, size } from '../format.ts'

type Results = ReturnType<typeof importFrom>

interface Move {
  /** Bucket, with or without what its keys shall begin with. */
  readonly target: string
  readonly access: Access
  readonly verb: 'import' | 'export'
  readonly dryRun: boolean
  readonly act: (context: TransferContext, prefix: string) => Results
}

const DONE = { import: ['imported', 'would import'], export: ['exported', 'would export'] } as const

/** What moves blobs between a bucket and what another program keeps. */
export abstract class ForeignCommand extends BlobsCommand {
  static override stream = true

  protected async move({ target: text, access, verb, dryRun, act }: Move): Promise<void> {
    const started = this.clock.elapsed()
    await using places = openPlaces(access)
    const target = requireTarget(places.target(text))
    const prefix = target.key === '' || target.key.endsWith('/') ? target.key : `${target.key}/`
    const store = await places.open(target)
    const counts = { items: 0, bytes: 0, unchanged: 0, skipped: 0 }
    {
      await using progress = this.progress(`${verb} ${plain(text)}`)
      const device = verb === 'import' ? places.device() : null
      const show = (key: string): string => showTarget(target, key)
      const { ids, signal } = this
      const context = openTransfer({ store, bucket: target.bucket, show, device, ids, signal, progress })
      for await (const result of act(context, prefix)) this.tellOne(result, counts, DONE[verb][dryRun ? 1 : 0])
    }
    const seconds = (this.clock.elapsed() - started) / 1000
    const { items, bytes, unchanged, skipped } = counts
    const parts = [
      `${DONE[verb][dryRun ? 1 : 0]} ${count(items, 'item')}, ${size(bytes)}`,
      ...(unchanged > 0 ? [`${count(unchanged, 'item')} unchanged`] : []),
      ...(skipped > 0 ? [`${skipped} skipped`] : []),
      `in ${duration(seconds)}`,
    ]
    this.settle(items + unchanged, { ...counts, dryRun, seconds: Number(seconds.toFixed(3)) }, parts.join(', '))
  }

  private tellOne(
    result: Results extends AsyncIterable<infer One> ? One : never,
    counts: { items: number; bytes: number; unchanged: number; skipped: number },
    verb: string,
  ): void {
    switch (result.kind) {
      case 'done': {
        counts.items += 1
        counts.bytes += result.size
        const { name, key, info } = result
        const version = info === null ? {} : { version: info.version }
        this.output.item(verb.replace(' ', '-'), { name, key, size: result.size, ...version })
        return
      }
      case 'unchanged':
        counts.unchanged += 1
        this.output.item('unchanged', { name: result.name })
        return
      case 'skipped':
        counts.skipped += 1
        if (this.output.json) this.output.item('skipped', { name: result.name, reason: result.reason })
        else this.output.message(`skipped: ${plain(result.name)}: ${result.reason}`)
        return
      case 'failed':
        this.fail(result.name, result.error)
    }
  }
}
