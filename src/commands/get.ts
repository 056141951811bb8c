import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { requireTarget } from '../cli/bucket-argument.ts'
import { openAddressed } from '../cli/transfer/addressed.ts'
import { limitRate } from '../cli/flags.ts'
import { count, duration, plain, size } from '../cli/format.ts'
import { parseRange } from '../cli/values.ts'
import { pacer } from '../locations/doctor.ts'
import { openPlaces, type Places } from '../locations/places.ts'
import { showTarget, type Target } from '../locations/target.ts'
import { showAddress } from '../store/contract/addresses.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { BlobInfo } from '../store/contract/types.ts'
import { landAddressed } from '../transfer/addressed.ts'
import { openTransfer, type TransferContext } from '../transfer/context.ts'
import { getFile, getFolder, getItems, measureFolder, readBlob, type GetItem, type Range } from '../transfer/get.ts'
import { lookUp, requireBlob } from '../transfer/listing.ts'
import { makeFolder, pathWithin, planGet, writeInto, type Destination } from '../transfer/operands.ts'

export default class Get extends BlobsCommand {
  static override summary = 'Get blobs or folders out of a bucket.'
  static override description = `With one argument it goes into the current folder; with two or more the last one is the local DEST. A DEST that is a folder or ends with / means "into"; otherwise it is the file's name, replaced at once when all of it is there. DEST - is stdout.

With -r a folder of the bucket comes with everything in it. Nothing is ever written outside DEST or through a symbolic link in it; what cannot be a file here is named and the rest still comes.

sha256:HEX is bytes by their address, in the place that BLOBS_SERVER or the profile names; in a URL it comes last.`
  static override usage = [
    'get SOURCE [DEST] [--version N] [--range A-B]',
    'get SOURCE SOURCE... DEST',
    'get -r SOURCE... [DEST]',
    'get sha256:HEX... [DEST]',
  ]
  static override examples = [
    { description: 'Get a blob into the current folder', command: '<%= config.bin %> get team/report.pdf' },
    {
      description: 'Get an older version under another name',
      command: '<%= config.bin %> get team/report.pdf old.pdf --version 3',
    },
    { description: 'Get a folder with everything in it', command: '<%= config.bin %> get -r team/photos ./photos' },
    {
      description: 'Get the first kilobyte to stdout',
      command: '<%= config.bin %> get logs/today.log - --range 0-999',
    },
  ]
  static override args = {
    source: Args.string({
      description: 'bucket/key, with -r also a folder or bucket; the last of several is the local DEST',
      required: true,
      multiple: true,
      ignoreStdin: true,
    }),
  }
  static override flags = {
    recursive: Flags.boolean({ char: 'r', description: 'take folders with everything in them' }),
    version: Flags.integer({
      description: 'this version instead of the current one',
      min: 1,
      helpValue: 'N',
      exclusive: ['recursive'],
    }),
    range: Flags.string({
      description: 'only these bytes: 0-99, 100- or -50',
      helpValue: 'A-B',
      exclusive: ['recursive'],
    }),
    'limit-rate': limitRate(),
  }
  static override stream = true

  private blobs = 0
  private bytes = 0
  private lines = 0
  private range: Range | undefined

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Get)
    const started = this.clock.elapsed()
    const names = args.source.length === 1 ? args.source : args.source.slice(0, -1)
    const destination = args.source.length === 1 ? '.' : (args.source.at(-1) ?? '.')
    const { version } = flags
    if ((version !== undefined || flags.range !== undefined) && names.length > 1) {
      throw new BlobsError('InvalidRequest', '--version and --range are about one blob', {
        hint: 'get the blobs one by one',
      })
    }
    this.range = flags.range === undefined ? undefined : parseRange(flags.range)
    await using places = openPlaces(this.access(flags))
    const plan = planGet(destination, names.length > 1)
    if (names.some((name) => places.addressed(name) !== null)) {
      if (version !== undefined || flags.range !== undefined || flags.recursive) throw notByAddress()
      await this.getByAddress(places, names, plan, flags['limit-rate'])
      return this.finish((this.clock.elapsed() - started) / 1000, plan)
    }
    const sources = names.map((name) => requireTarget(places.target(name)))
    if (plan.kind === 'stdout' && flags.recursive) {
      throw new BlobsError('InvalidRequest', 'a folder cannot go to stdout', { hint: 'name a folder as DEST' })
    }
    {
      await using progress = this.progress(
        `get ${plain(names.length === 1 ? (names[0] ?? '') : count(names.length, 'source'))}`,
      )
      const open = async (target: Target): Promise<TransferContext> => {
        const store = await places.open(target)
        return openTransfer({
          store,
          bucket: target.bucket,
          show: (key) => showTarget(target, key),
          device: null,
          ids: this.ids,
          signal: this.signal,
          progress,
        })
      }
      if (plan.kind === 'into' && plan.make) makeFolder(plan.folder)
      if (flags.recursive) for (const source of sources) await this.getTree(await open(source), source, plan)
      else await this.getBlobs(sources, open, plan, version)
    }
    this.finish((this.clock.elapsed() - started) / 1000, plan)
  }

  private async getByAddress(
    places: Places,
    names: readonly string[],
    plan: Destination,
    rate: number | undefined,
  ): Promise<void> {
    await using progress = this.progress(`get ${plain(count(names.length, 'source'))}`)
    const options = { progress, signal: this.signal, pace: pacer(this.clock, rate), ids: this.ids }
    if (plan.kind === 'into' && plan.make) makeFolder(plan.folder)
    for (const name of names) {
      try {
        const { info, location, stream } = await openAddressed(places, name, options)
        if (plan.kind === 'stdout') for await (const bytes of stream) await this.output.bytes(bytes)
        else {
          const path = plan.kind === 'into' ? pathWithin(plan.folder, info.hash) : plan.path
          if (plan.kind === 'device') await writeInto(path, stream)
          else await landAddressed(options, path, stream)
          this.lines += 1
          const address = showAddress(info.hash)
          const text = `${address} → ${plain(path)}  ${size(info.size)}`
          this.output.item('get', { address, hash: info.hash, size: info.size, location, path }, text)
        }
        this.blobs += 1
        this.bytes += info.size
      } catch (error) {
        this.fail(name, error)
      }
    }
  }

  private finish(seconds: number, plan: Destination): void {
    // stdout is the blob's then; the exit code and stderr tell the rest.
    if (plan.kind === 'stdout' && this.blobs > 0) return
    const summary = { blobs: this.blobs, bytes: this.bytes, seconds: Number(seconds.toFixed(3)) }
    const text =
      this.lines > 1 ? `${count(this.blobs, 'blob')}, ${size(this.bytes)}, in ${duration(seconds)}` : undefined
    this.settle(this.blobs, summary, text)
  }

  private async getBlobs(
    sources: readonly Target[],
    open: (target: Target) => Promise<TransferContext>,
    plan: Destination,
    version: number | undefined,
  ): Promise<void> {
    const found: { readonly context: TransferContext; readonly info: BlobInfo }[] = []
    for (const source of sources) {
      try {
        const context = await open(source)
        const all = `get it with everything in it: blobs get -r ${source.text}`
        found.push({ context, info: await requireBlob(context, source.key, version, all) })
      } catch (error) {
        if (sources.length === 1) throw error
        this.fail(source.text, error)
      }
    }
    for (const { context, info } of found) context.progress.expect({ bytes: info.size, items: found.length })
    if (plan.kind === 'stdout' || plan.kind === 'device') {
      for (const { context, info } of found) await this.stream(context, info, plan)
      return
    }
    const itemOf = (info: BlobInfo): GetItem => ({
      info,
      path: plan.kind === 'into' ? pathWithin(plan.folder, info.key) : plan.path,
    })
    const [only] = found
    if (found.length === 1 && only) return this.getOne(only.context, itemOf(only.info))
    for (const context of new Set(found.map((one) => one.context))) {
      const items = found.filter((one) => one.context === context).map((one) => itemOf(one.info))
      for await (const result of getItems(context, items, plan.kind === 'into' ? plan.folder : '.')) {
        if (result.kind === 'got') this.done(result, result.info.size)
        else this.fail(result.path, result.error)
      }
    }
  }

  private async getOne(context: TransferContext, item: GetItem): Promise<void> {
    this.done(item, await getFile(context, item, this.range))
  }

  private async stream(context: TransferContext, info: BlobInfo, plan: Destination): Promise<void> {
    const bytes = readBlob(context, info, this.range)
    if (plan.kind === 'device') await writeInto(plan.path, bytes)
    else for await (const chunk of bytes) await this.output.bytes(chunk)
    this.blobs += 1
  }

  private async getTree(context: TransferContext, source: Target, plan: Destination): Promise<void> {
    const named = await lookUp(context, source.key)
    const live = named.blob !== null && !named.blob.deleted
    if (live && named.folder) {
      throw new BlobsError('InvalidRequest', `${source.text} is both a blob and a folder`, {
        hint: `the folder: ${source.text}/ · the blob: leave -r away`,
      })
    }
    const name = source.key === '' ? source.bucket : source.key
    const path = plan.kind === 'into' ? pathWithin(plan.folder, name) : plan.kind === 'exact' ? plan.path : ''
    if (path === '')
      throw new BlobsError('InvalidRequest', 'a folder cannot go into a device', { hint: 'name a folder as DEST' })
    if (!named.folder) return this.getOne(context, { info: await requireBlob(context, source.key), path })
    if (context.progress.watched) await measureFolder(context, source.key)
    const before = { blobs: this.blobs, bytes: this.bytes }
    for await (const result of getFolder(context, source.key, path)) {
      if (result.kind === 'got') this.done(result, result.info.size, false)
      else this.fail(result.path, result.error)
    }
    this.lines += 1
    const [blobs, bytes] = [this.blobs - before.blobs, this.bytes - before.bytes]
    const shown = source.key === '' ? source.bucket : `${source.bucket}/${source.key}`
    this.output.line(`${plain(shown.replace(/\/?$/, '/'))} → ${plain(path)}  ${count(blobs, 'blob')}  ${size(bytes)}`)
  }

  private done(item: GetItem, bytes: number, tell = true): void {
    const { info, path } = item
    this.blobs += 1
    this.bytes += bytes
    if (tell) this.lines += 1
    const text = `${plain(`${info.bucket}/${info.key}`)} → ${plain(path)}  v${info.version}  ${size(bytes)}`
    this.output.item('get', { ...info, path }, tell ? text : undefined)
  }
}

function notByAddress(): BlobsError {
  return new BlobsError('InvalidRequest', 'at an address there are no versions, no folders and no parts', {
    hint: 'leave out -r, --version and --range',
  })
}
