import { Args, Flags } from '@oclif/core'
import { requireBucket } from '../cli/bucket-argument.ts'
import { BlobsCommand } from '../cli/command.ts'
import { count, plain, relativeTime, size } from '../cli/format.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { showTarget } from '../locations/target.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { newOperation, openTransfer } from '../transfer/context.ts'
import { checkUndo, planUndo, undo, type Undone, type UndoPlan } from '../transfer/undo.ts'

const SHOWN = 10

export default class Undo extends BlobsCommand {
  static override summary = "Take back this device's last command."
  static override description = `What the last put, cp, mv, rm, restore or undo of this device wrote becomes as it was before, in BUCKET, or wherever it wrote among the buckets that bare names mean. All of it or nothing: if somebody changed a part of it since, that is a conflict and nothing is undone. History is not rewritten; an undo is a version too, and a second undo takes the first one back. It takes up to 20,000 blobs; for more, see blobs restore --at.

What blobs sync did is not undone by it: see blobs restore.`
  static override usage = 'undo [BUCKET] [--dry-run]'
  static override examples = [
    { description: 'Take back the last command', command: '<%= config.bin %> undo' },
    { description: 'See first what would happen', command: '<%= config.bin %> undo --dry-run' },
    {
      description: 'Take back what was last done in a bucket of a server',
      command: '<%= config.bin %> undo https://blobs.example:7420/team',
    },
  ]
  static override args = {
    bucket: Args.string({
      description: 'bucket, here or on a server; default: those that bare names mean',
      ignoreStdin: true,
    }),
  }
  static override flags = {
    'dry-run': Flags.boolean({ char: 'n', description: 'tell what would be undone, and undo nothing' }),
  }

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Undo)
    const dryRun = flags['dry-run'] === true
    await using places = openPlaces(this.access(flags))
    const device = places.device()
    const targets = args.bucket === undefined ? await allHere(places) : [requireBucket(places.target(args.bucket))]
    const operation = newOperation(device, this.ids)
    const found: UndoPlan[] = []
    for (const target of targets) {
      const store = await places.open(target)
      const { bucket } = target
      const show = (key: string): string => showTarget(target, key)
      const { ids, signal } = this
      const plan = await planUndo(openTransfer({ store, bucket, show, device, operation, ids, signal }), device.id)
      if (plan) found.push(plan)
    }
    const newest = found.toSorted((a, b) => b.time - a.time)[0]
    if (!newest) throw nothing(args.bucket)
    const plans = found.filter((plan) => plan.operation === newest.operation)
    // Buckets are changed one after the other: what can be known beforehand keeps a conflict from undoing a half.
    if (plans.length > 1 || dryRun) for (const plan of plans) await checkUndo(plan)
    const done = dryRun ? plans.flatMap(wouldUndo) : []
    if (!dryRun) for (const plan of plans) done.push(...(await undo(plan)))
    const written = new Date(newest.time).toISOString()
    const changes = done.map(({ info, from }) => ({ ...info, from }))
    const text = textOf(done, relativeTime(newest.time, this.clock.now()), dryRun)
    this.output.document({ operation: newest.operation, written, dryRun, changes }, text)
  }
}

async function allHere(places: Places): Promise<{ readonly location: string; readonly bucket: string }[]> {
  const targets = []
  for await (const { name } of (await places.buckets(places.here)).list()) {
    targets.push({ location: places.here, bucket: name })
  }
  return targets
}

function wouldUndo({ steps }: UndoPlan): Undone[] {
  return steps.map(({ now, before }) => ({ info: before ?? now, from: before?.version ?? null }))
}

function textOf(done: readonly Undone[], when: string, dryRun: boolean): string {
  const lines = done.slice(0, SHOWN).map(({ info, from }) => {
    const name = plain(`${info.bucket}/${info.key}`)
    return from === null ? `  ${name}  deleted` : `  ${name}  ${size(info.size)}  as v${from}`
  })
  if (done.length > SHOWN) lines.push(`  and ${count(done.length - SHOWN, 'more', 'more')}`)
  const verb = dryRun ? 'would undo' : 'undone:'
  return [`${verb} what was written ${when}, ${count(done.length, 'blob')}`, ...lines].join('\n')
}

function nothing(bucket: string | undefined): BlobsError {
  const where = bucket === undefined ? '' : ` to ${bucket}`
  return new BlobsError('NotFound', `this device has written nothing${where} that could be undone`, {
    hint: 'bring a version back: blobs restore TARGET --version N · what sync does is not undone',
  })
}
