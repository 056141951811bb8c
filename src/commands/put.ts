import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { requireAddressPlace } from '../cli/transfer/addressed.ts'
import { count, duration, plain, size } from '../cli/format.ts'
import { limitRate } from '../cli/flags.ts'
import { parseMeta } from '../cli/values.ts'
import { pacer } from '../locations/doctor.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { showTarget, type Target } from '../locations/target.ts'
import type { BlobInfo, Expectation } from '../store/contract/types.ts'
import { showAddress } from '../store/contract/addresses.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { putAddressed } from '../transfer/addressed.ts'
import { openTransfer, type TransferContext } from '../transfer/context.ts'
import { planPut, type PutGroup } from '../transfer/operands.ts'
import { measureItems, putItems, type PutItem, type PutOptions } from '../transfer/put.ts'
import { walkTree } from '../transfer/tree.ts'

export default class Put extends BlobsCommand {
  static override summary = 'Put files, folders or stdin into a bucket.'
  static override description = `Each put makes a new version; older ones stay and can be brought back with blobs restore.

TARGET that is a bucket or ends with / means "into", under the file's own name; otherwise it is the exact key. With -r a folder goes with everything in it: "put -r dir b/x" makes b/x/…, "put -r dir b/x/" makes b/x/dir/…. Symbolic links inside a folder are not followed; they are listed.

FILE - is stdin, of any length; it needs an exact key.

With --address the bytes go to a place that knows them by their SHA-256 alone, a directory or a NATS object bucket (docs/backends.md), and their address is printed: blobs get brings them back by it.`
  static override usage = [
    'put FILE... TARGET [-r] [--if-version N | --if-absent] [--meta NAME=VALUE]...',
    'put --address FILE... LOCATION',
  ]
  static override examples = [
    { description: 'Put a file into a folder of the bucket team', command: '<%= config.bin %> put report.pdf team/' },
    {
      description: 'Put a file under another name, only over version 3',
      command: '<%= config.bin %> put draft.pdf team/report.pdf --if-version 3',
    },
    { description: 'Put a folder with everything in it', command: '<%= config.bin %> put -r photos team/photos' },
    {
      description: 'Put what another program writes',
      command: '$ pg_dump shop | <%= config.bin %> put - backups/shop.sql',
    },
    {
      description: 'Put bytes where they are known by their address, which is printed',
      command: '<%= config.bin %> put --address photo.jpg folder+cas:///srv/media',
    },
    {
      description: 'Put to a server',
      command: '$ BLOBS_TOKEN_FILE=team.token <%= config.bin %> put report.pdf https://blobs.example:7420/team/',
    },
  ]
  static override args = {
    file: Args.string({
      description: 'files, with -r also folders; - is stdin',
      required: true,
      multiple: true,
      ignoreStdin: true,
    }),
    target: Args.string({ description: 'bucket, bucket/folder/ or bucket/key', required: true, ignoreStdin: true }),
  }
  static override flags = {
    recursive: Flags.boolean({ char: 'r', description: 'take folders with everything in them' }),
    'if-version': Flags.integer({
      description: 'only if this is the current version',
      min: 1,
      helpValue: 'N',
      exclusive: ['if-absent', 'recursive'],
    }),
    'if-absent': Flags.boolean({ description: 'only if there is no such blob' }),
    'content-type': Flags.string({ description: 'media type; by default from the extension', helpValue: 'TYPE' }),
    meta: Flags.string({
      description: 'metadata to keep with the blob; may be repeated',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    address: Flags.boolean({
      description: 'keep bytes by their SHA-256, without a name, and print their address',
      exclusive: ['recursive', 'if-version', 'if-absent', 'content-type', 'meta'],
    }),
    'limit-rate': limitRate(),
  }
  static override stream = true

  private blobs = 0
  private bytes = 0
  private skipped = 0
  private lines = 0

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Put)
    const started = this.clock.elapsed()
    await using places = openPlaces(this.access(flags))
    if (flags.address) return await this.putByAddress(places, args.file, args.target, flags['limit-rate'])
    const target = places.target(args.target)
    const ifVersion = flags['if-version']
    if (ifVersion !== undefined && args.file.length > 1) {
      throw new BlobsError('InvalidRequest', '--if-version is about one blob', { hint: 'put the files one by one' })
    }
    const expect: Expectation =
      ifVersion === undefined ? (flags['if-absent'] ? 'absent' : 'any') : { version: ifVersion }
    const contentType = flags['content-type']
    const options: PutOptions = {
      expect,
      meta: parseMeta(flags.meta ?? []),
      ...(contentType === undefined ? {} : { contentType }),
    }
    const stdin = { stdin: process.stdin, recursive: flags.recursive }
    const groups = planPut(args.file, requireTarget(target), stdin)
    const store = await places.open(target)
    {
      await using progress = this.progress(`put ${plain(args.target)}`)
      const context = openTransfer({
        store,
        bucket: target.bucket,
        show: (key) => showTarget(target, key),
        device: places.device(),
        ids: this.ids,
        signal: this.signal,
        progress,
      })
      if (progress.watched) measure(context, groups)
      for (const group of groups) await this.putGroup(context, group, target, options)
    }
    const seconds = (this.clock.elapsed() - started) / 1000
    const summary = { blobs: this.blobs, bytes: this.bytes, skipped: this.skipped, seconds: Number(seconds.toFixed(3)) }
    const text =
      this.lines > 1 ? `${count(this.blobs, 'blob')}, ${size(this.bytes)}, in ${duration(seconds)}` : undefined
    this.settle(this.blobs, summary, text)
  }

  private async putByAddress(
    places: Places,
    files: readonly string[],
    place: string,
    rate: number | undefined,
  ): Promise<void> {
    const started = this.clock.elapsed()
    const { location } = requireAddressPlace(places, place)
    const store = await places.addresses(location)
    {
      await using progress = this.progress(`put ${plain(place)}`)
      const options = { store, progress, signal: this.signal, pace: pacer(this.clock, rate), stdin: process.stdin }
      for (const file of files) {
        try {
          const put = await putAddressed(options, file)
          this.blobs += 1
          this.bytes += put.size
          const address = showAddress(put.hash)
          this.output.item('put', { path: file, address, hash: put.hash, size: put.size, location }, address)
        } catch (error) {
          this.fail(file, error)
        }
      }
    }
    const seconds = (this.clock.elapsed() - started) / 1000
    this.settle(this.blobs, { blobs: this.blobs, bytes: this.bytes, seconds: Number(seconds.toFixed(3)) })
  }

  private async putGroup(
    context: TransferContext,
    group: PutGroup,
    target: Target,
    options: PutOptions,
  ): Promise<void> {
    const before = { blobs: this.blobs, bytes: this.bytes }
    for await (const result of putItems(context, itemsOf(context, group), options)) {
      if (result.kind === 'put') this.done(result.path, result.info, group.kind === 'files')
      else if (result.kind === 'failed') this.fail(result.path, result.error)
      else this.skip(result.path, result.reason)
    }
    if (group.kind === 'tree') {
      this.lines += 1
      const [blobs, bytes] = [this.blobs - before.blobs, this.bytes - before.bytes]
      this.output.line(
        `${plain(group.root)} → ${plain(`${target.bucket}/${group.prefix}`)}  ${count(blobs, 'blob')}  ${size(bytes)}`,
      )
    }
  }

  private done(path: string, info: BlobInfo, tell: boolean): void {
    this.blobs += 1
    if (tell) this.lines += 1
    this.bytes += info.size
    const name = `${plain(path)} → ${plain(`${info.bucket}/${info.key}`)}`
    this.output.item('put', { ...info, path }, tell ? `${name}  v${info.version}  ${size(info.size)}` : undefined)
  }

  private skip(path: string, reason: string): void {
    this.skipped += 1
    if (this.output.json) this.output.item('skipped', { path, reason })
    else this.output.message(`skipped: ${plain(path)}: ${reason}`)
  }
}

function itemsOf(context: TransferContext, group: PutGroup): Iterable<PutItem> {
  return group.kind === 'files' ? group.items : walkTree(context.fs, group.root, group.prefix)
}

/** Tells a progress its end, unless stdin is among what is put: nobody knows how long that is. */
function measure(context: TransferContext, groups: readonly PutGroup[]): void {
  const endless = groups.some((group) => group.kind === 'files' && group.items.some((item) => item.kind === 'stream'))
  if (!endless) measureItems(context, allItems(context, groups))
}

function* allItems(context: TransferContext, groups: readonly PutGroup[]): Iterable<PutItem> {
  for (const group of groups) yield* itemsOf(context, group)
}
