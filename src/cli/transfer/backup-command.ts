import { Flags } from '@oclif/core'
import { openPlaces, type Places } from '../../locations/places.ts'
import { showTarget, type Target } from '../../locations/target.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BucketInfo } from '../../store/contract/types.ts'
import type { CopyDone, CopyTask } from '../../transfer/bucket-copy.ts'
import { requireBucket } from '../bucket-argument.ts'
import { type Access, BlobsCommand } from '../command.ts'
import { limitRate } from '../flags.ts'
import { count, plain, size } from '../format.ts'

export const backupFlags = {
  'skip-damaged': Flags.boolean({
    description: 'leave out damaged bytes, name them and go on; else the first of them ends it',
  }),
  'dry-run': Flags.boolean({ char: 'n', description: 'tell what would be copied, and copy nothing' }),
  'limit-rate': limitRate(),
}

interface Call<Done extends CopyDone> {
  readonly source: string
  readonly target: string
  readonly flags: { readonly 'skip-damaged'?: boolean; readonly 'dry-run'?: boolean }
  readonly access: Access
  readonly verb: string
  /** Which buckets of a place are meant. */
  readonly picks: (info: BucketInfo) => boolean
  readonly act: (task: CopyTask, places: Places) => Promise<Done>
  /** What is told of it: fields, and words behind the names of both ends. */
  readonly tell: (done: Done) => { readonly fields: object; readonly words: string }
}

interface Pair {
  readonly from: Target
  readonly to: Target
}

/** What `backup` and `restore-backup` share: one bucket or all of a place, one after the other. */
export abstract class BackupCommand extends BlobsCommand {
  static override stream = true

  private buckets = 0
  private versions = 0
  private bytes = 0

  protected async copyBuckets<Done extends CopyDone>(call: Call<Done>): Promise<void> {
    const started = this.clock.elapsed()
    await using places = openPlaces(call.access)
    for (const pair of await this.pairs(places, call)) {
      try {
        await this.copyBucket(places, pair, call)
      } catch (error) {
        this.signal.throwIfAborted()
        this.fail(showTarget(pair.from), error)
      }
    }
    const seconds = Number(((this.clock.elapsed() - started) / 1000).toFixed(3))
    const { buckets, versions, bytes } = this
    this.settle(buckets, { dryRun: call.flags['dry-run'] === true, buckets, versions, bytes, seconds })
  }

  private async copyBucket<Done extends CopyDone>(places: Places, { from, to }: Pair, call: Call<Done>): Promise<void> {
    await using opened = new AsyncDisposableStack()
    const open = async ({ location }: Target, bucket: string): Promise<BlobStore> => {
      const store = await (await places.buckets(location)).open(bucket)
      opened.defer(() => store.close())
      return store
    }
    const dryRun = call.flags['dry-run'] === true
    const names = `${plain(showTarget(from))} → ${plain(showTarget(to))}`
    await using progress = this.progress(`${call.verb} ${names}`)
    const done = await call.act(
      {
        source: await open(from, from.bucket),
        target: {
          bucket: to.bucket,
          buckets: await places.buckets(to.location),
          show: (bucket) => showTarget({ ...to, bucket }),
          open: (bucket) => open(to, bucket),
        },
        skipDamaged: call.flags['skip-damaged'] === true,
        dryRun,
        now: () => this.clock.now(),
        signal: this.signal,
        progress,
      },
      places,
    )
    await progress.end()
    const { entries, versions, bytes, created, damaged } = done
    for (const { info, error } of damaged) this.fail(`${showTarget(from, info.key)} version ${info.version}`, error)
    this.buckets += 1
    this.versions += versions
    this.bytes += bytes
    const ends = { source: showTarget(from), destination: showTarget(to) }
    const { fields, words } = call.tell(done)
    const what = versions === 0 ? 'nothing new' : `${count(versions, 'version')}, ${size(bytes)}`
    this.output.item(
      call.verb,
      { ...ends, created, entries, versions, bytes, damaged: damaged.length, ...fields },
      `${names}  ${dryRun && versions > 0 ? 'would copy ' : ''}${what}${words}`,
    )
  }

  private async pairs<Done extends CopyDone>(places: Places, call: Call<Done>): Promise<readonly Pair[]> {
    const [from, to] = [places.target(call.source), places.target(call.target)]
    for (const end of [from, to]) if (end.bucket !== '') requireBucket(end)
    if (from.bucket !== '') return [apart({ from, to: { ...to, bucket: to.bucket === '' ? from.bucket : to.bucket } })]
    if (to.bucket !== '') {
      throw new BlobsError('InvalidRequest', `${from.text} names a place, but ${to.text} a bucket`, {
        hint: 'name two places, or a bucket of the first',
      })
    }
    const pairs: Pair[] = []
    for await (const info of (await places.buckets(from.location)).list()) {
      const { name: bucket } = info
      if (call.picks(info)) pairs.push(apart({ from: { ...from, bucket }, to: { ...to, bucket } }))
    }
    if (pairs.length === 0) this.output.message(`there are no buckets in ${plain(from.text)} to ${call.verb}`)
    return pairs
  }
}

function apart(pair: Pair): Pair {
  const { from, to } = pair
  if (from.location !== to.location || from.bucket !== to.bucket) return pair
  throw new BlobsError('InvalidRequest', `${showTarget(from)} cannot be copied into itself`, {
    hint: 'name another place',
  })
}
