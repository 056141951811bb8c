import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { grouped, localTime, plain, size } from '../cli/format.ts'
import { parseMoment } from '../cli/values.ts'
import { openPlaces } from '../locations/places.ts'
import { showTarget, type Target } from '../locations/target.ts'
import { openTransfer } from '../transfer/context.ts'
import { restoreTime, restoreVersion, type RestoreResult } from '../transfer/restore.ts'

export default class Restore extends BlobsCommand {
  static override summary = 'Bring back an older version of a blob, or a folder as it was.'
  static override description = `It writes new versions; history is never rewritten, so a restore can be undone by another one. No bytes travel.

TIME is RFC 3339 (2026-07-28T14:00:00Z), local "2026-07-28 14:00", or an age: 2h, 3d; an age goes by the clock of the server. A folder becomes what it was then: what changed comes back, what came later is deleted (and stays in the history).`
  static override usage = ['restore TARGET --version N', 'restore TARGET --at TIME']
  static override examples = [
    { description: 'Bring version 3 of a blob back', command: '<%= config.bin %> restore team/report.pdf --version 3' },
    { description: 'Make a folder what it was two hours ago', command: '<%= config.bin %> restore team/site --at 2h' },
    {
      description: 'Make a whole bucket what it was at a time',
      command: '<%= config.bin %> restore team --at "2026-07-28 14:00"',
    },
  ]
  static override args = {
    target: Args.string({ description: 'bucket/key, a folder, or a bucket', required: true, ignoreStdin: true }),
  }
  static override flags = {
    version: Flags.integer({
      description: 'the version of the blob to bring back',
      min: 1,
      helpValue: 'N',
      exactlyOne: ['version', 'at'],
    }),
    at: Flags.string({
      description: 'the time whose state to bring back',
      helpValue: 'TIME',
      exactlyOne: ['version', 'at'],
    }),
  }
  static override stream = true

  private folder = false
  private restored = 0
  private removed = 0
  private unchanged = 0

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Restore)
    const moment = flags.at === undefined ? null : parseMoment(flags.at)
    await using places = openPlaces(this.access(flags))
    const target = requireTarget(places.target(args.target))
    const at = moment === null ? null : moment(await places.timeAt(target.location))
    const store = await places.open(target)
    {
      await using progress = this.progress(`restore ${plain(args.target)}`)
      const device = places.device()
      const context = openTransfer({
        store,
        bucket: target.bucket,
        show: (key) => showTarget(target, key),
        device,
        ids: this.ids,
        signal: this.signal,
        progress,
      })
      const results =
        at === null ? restoreVersion(context, target.key, flags.version ?? 0) : restoreTime(context, target.key, at)
      for await (const result of results) this.tellResult(result, target)
    }
    const { restored, removed, unchanged } = this
    const name = plain(target.key === '' ? target.bucket : `${target.bucket}/${target.key}`)
    const parts = [`${grouped(restored)} brought back`]
    if (removed > 0) parts.push(`${grouped(removed)} deleted that came later`)
    if (unchanged > 0) parts.push(`${grouped(unchanged)} already so`)
    if (this.folder) this.output.line(`${name} as of ${localTime(Date.parse(at ?? ''))}: ${parts.join(', ')}`)
    const summary = { restored, removed, unchanged, ...(at === null ? {} : { at }) }
    this.settle(restored + removed + unchanged, summary)
  }

  private tellResult(result: RestoreResult, target: Target): void {
    if (result.kind === 'failed') return this.fail(`${target.bucket}/${result.key}`, result.error)
    const { info, from } = result
    this.folder ||= info.key !== target.key
    const text = (what: string): string | undefined =>
      this.folder ? undefined : `${plain(`${info.bucket}/${info.key}`)}  v${info.version}  ${size(info.size)}  ${what}`
    if (result.kind === 'unchanged') {
      this.unchanged += 1
      this.output.item('unchanged', { ...info, from }, text(`is as v${from} already`))
    } else if (from === null) {
      this.removed += 1
      this.output.item('delete', info)
    } else {
      this.restored += 1
      this.output.item('put', { ...info, from }, text(`from v${from}`))
    }
  }
}
