import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { noBytes } from '../cli/transfer/addressed.ts'
import { grouped, localTime, plain, size, table } from '../cli/format.ts'
import type { AddressTarget } from '../locations/addressed.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { showTarget, type Target } from '../locations/target.ts'
import { showAddress } from '../store/contract/addresses.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { BlobInfo, BucketInfo } from '../store/contract/types.ts'
import { listPages } from '../store/contract/pages.ts'
import { folderOf, lookUp, versionsOf } from '../transfer/listing.ts'

export default class Ls extends BlobsCommand {
  static override summary = 'List buckets, or what is in a bucket or folder.'
  static override description = `Without TARGET it lists the buckets. "b/x" is the blob x, or one level of the folder x/; what merely begins with x is not listed. Folders end with /.

Names are shown relative to the folder; --json has whole keys.`
  static override usage = 'ls [TARGET] [-l] [-r] [--versions]'
  static override examples = [
    { description: 'List the buckets', command: '<%= config.bin %> ls' },
    { description: 'List a folder with versions, sizes and times', command: '<%= config.bin %> ls -l team/photos' },
    {
      description: 'List everything below a folder as JSON lines',
      command: '<%= config.bin %> ls -r team/photos --json',
    },
    {
      description: 'List all versions of everything, deleted blobs too',
      command: '<%= config.bin %> ls -r --versions team',
    },
  ]
  static override args = {
    target: Args.string({
      description: 'bucket, bucket/folder or bucket/key; or a place of addresses',
      ignoreStdin: true,
    }),
  }
  static override flags = {
    long: Flags.boolean({ char: 'l', description: 'with version, size and time' }),
    recursive: Flags.boolean({ char: 'r', description: 'everything below, not one level' }),
    versions: Flags.boolean({ description: 'every version of each blob, deletions too' }),
  }
  static override stream = true

  private long = false
  private blobs = 0
  private folders = 0
  private bytes = 0

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Ls)
    this.long = flags.long || flags.versions
    await using places = openPlaces(this.access(flags))
    const addressed = places.addressed(args.target)
    if (addressed !== null) return await this.listAddresses(places, addressed)
    const target = args.target === undefined ? null : places.target(args.target)
    if (target === null || target.bucket === '') {
      await this.listBuckets(places, target?.location ?? places.here)
      return
    }
    await this.listTarget(places, target, flags)
    const { blobs, folders, bytes } = this
    this.output.summary({ blobs, folders, bytes, complete: true })
  }

  private async listBuckets(places: Places, location: string): Promise<void> {
    const buckets: BucketInfo[] = []
    for await (const info of (await places.buckets(location)).list()) {
      this.signal.throwIfAborted()
      buckets.push(info)
    }
    const rows = buckets.map((info) => [
      grouped(info.blobs),
      size(info.bytes),
      localTime(Date.parse(info.created)),
      info.name,
    ])
    const lines = this.long ? table(rows, ['right', 'right', 'left', 'left']) : buckets.map((info) => info.name)
    for (const [index, info] of buckets.entries()) this.output.item('bucket', info, lines[index])
    if (buckets.length === 0) this.output.message('there are no buckets yet; make one: blobs bucket create NAME')
    this.output.summary({ buckets: buckets.length })
  }

  private async listAddresses(places: Places, { location, hash }: AddressTarget): Promise<void> {
    const store = await places.addresses(location)
    const found = hash === null ? null : await store.find(hash)
    if (hash !== null && found === null) throw noBytes(location, hash)
    for await (const batch of found === null ? store.list() : [[found]]) {
      this.signal.throwIfAborted()
      const rows = batch.map((info) => [size(info.size), localTime(info.modified), showAddress(info.hash)])
      const lines = this.long ? table(rows, ['right', 'left']) : rows.map((row) => row.at(-1) ?? '')
      for (const [index, info] of batch.entries()) {
        const modified = new Date(info.modified).toISOString()
        this.output.item('address', { address: showAddress(info.hash), ...info, modified }, lines[index])
        this.blobs += 1
        this.bytes += info.size
      }
    }
    this.output.summary({ blobs: this.blobs, bytes: this.bytes, complete: true })
  }

  private async listTarget(
    places: Places,
    target: Target,
    flags: { readonly recursive: boolean; readonly versions: boolean },
  ): Promise<void> {
    const { bucket, key } = target
    const context = { store: await places.open(target), bucket, show: (name: string) => showTarget(target, name) }
    const { blob, folder } = await lookUp(context, key)
    const old = flags.versions && key !== '' && !key.endsWith('/') ? await versionsOf(context, key) : []
    if (flags.versions) this.show(old.map((info) => ({ info, name: key })))
    else if (blob && !blob.deleted) this.show([{ info: blob, name: key }])
    const prefix = folderOf(key)
    const options = { prefix, ...(flags.recursive ? {} : { delimiter: '/' as const }) }
    const past = flags.versions ? { versions: true, deleted: true } : {}
    let some = folder
    for await (const page of listPages(context.store, { ...options, ...past })) {
      this.signal.throwIfAborted()
      some ||= page.items.length + page.prefixes.length > 0
      this.show(merge(page.items, page.prefixes, prefix))
    }
    if (some || old.length > 0 || (blob && !blob.deleted)) return
    throw nothing(target, blob)
  }

  private show(entries: readonly Entry[]): void {
    const rows = entries.map(({ info, name }) => rowOf(info, plain(name)))
    const lines = this.long ? table(rows, ['right', 'right', 'left', 'left']) : rows.map((row) => row.at(-1) ?? '')
    for (const [index, { info, folder, name }] of entries.entries()) {
      if (info) {
        if (!info.deleted) this.blobs += 1
        this.bytes += info.size
        this.output.item('blob', info, lines[index])
      } else {
        this.folders += 1
        this.output.item('folder', { key: folder ?? name }, lines[index])
      }
    }
  }
}

/** A blob, or a folder with its whole key. */
interface Entry {
  readonly name: string
  readonly info?: BlobInfo
  readonly folder?: string
}

/** In the order of the keys, as if they had been listed together; the folder's own marker is left out. */
function merge(items: readonly BlobInfo[], prefixes: readonly string[], prefix: string): Entry[] {
  const entries: Entry[] = items
    .filter((info) => info.key !== prefix)
    .map((info) => ({ name: info.key.slice(prefix.length), info }))
  for (const folder of prefixes) entries.push({ name: folder.slice(prefix.length), folder })
  return prefixes.length === 0
    ? entries
    : entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
}

function rowOf(info: BlobInfo | undefined, name: string): string[] {
  if (!info) return ['', '', '', name]
  return [`v${info.version}`, info.deleted ? 'deleted' : size(info.size), localTime(Date.parse(info.modified)), name]
}

function nothing(target: Target, blob: BlobInfo | null): BlobsError {
  const { bucket, key, text } = target
  if (blob) {
    return new BlobsError('NotFound', `${bucket}/${key} was deleted (version ${blob.version})`, {
      key,
      hint: `its past: blobs history ${text} · bring it back: blobs restore ${text} --version ${blob.version - 1}`,
    })
  }
  return new BlobsError('NotFound', `there is no blob and no folder ${bucket}/${key}`, {
    key,
    hint: `what there is: blobs ls ${showTarget(target)}`,
  })
}
