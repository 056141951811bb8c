import { Command, Errors, Flags, type Config } from '@oclif/core'
import type { Interfaces } from '@oclif/core'
import { keepHeapSmall } from '../platform/heap.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { systemClock, systemIds } from '../platform/system.ts'
import { Interrupted, PartialFailure, errorJson, errorText, viewError, type ErrorView, type Failure } from './errors.ts'
import { duration, plain } from './format.ts'
import { emphasize, openOutput, type Output } from './output.ts'
import { openProgress, type Progress } from './progress.ts'
import { listenForSignals, type Signals } from './signals.ts'

type Values = Record<string, unknown>

const FINITE_GRACE_MS = 3000
const SERVICE_GRACE_MS = 30_000

/** What decides where a bucket is and who asks: the input of `locations`. */
export interface Access {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly profile?: string
  readonly tokenFile?: string
  /** Reads the token from stdin; each call gives the same. */
  readonly tokenFromStdin?: () => Promise<string>
  readonly caCert?: string
  readonly singleWriter?: boolean
  /** Bytes a second. */
  readonly limitRate?: number
  readonly onRetry: (error: Error, pause: number) => void
  readonly onWarning: (message: string) => void
  readonly clock: Clock
  readonly ids: Ids
}

/** What a command gives to those it runs. */
interface Inherited {
  readonly access: Access
  readonly quiet: boolean
}

/**
 * What every command shares. A subclass declares its arguments and flags, and in `run` parses (`this.parse(Its)`), makes one call and
 * presents through `this.output`. It throws on failure; the message and the exit code happen here, once.
 */
export abstract class BlobsCommand extends Command {
  static override enableJsonFlag = true
  static override baseFlags = {
    profile: Flags.string({
      description: 'profile of config.toml that says where buckets are',
      helpGroup: 'GLOBAL',
      helpValue: 'NAME',
    }),
    'token-file': Flags.string({ description: 'file that holds the token', helpGroup: 'GLOBAL', helpValue: 'FILE' }),
    'token-stdin': Flags.boolean({
      description: 'read the token from stdin',
      helpGroup: 'GLOBAL',
      exclusive: ['token-file'],
    }),
    'ca-cert': Flags.string({
      description: 'PEM file of a certificate authority to trust',
      helpGroup: 'GLOBAL',
      helpValue: 'FILE',
    }),
    'single-writer': Flags.boolean({
      description: 'no other program writes there: use a place that cannot keep writers apart',
      helpGroup: 'GLOBAL',
    }),
    json: Flags.boolean({ description: 'results and errors as JSON on stdout', helpGroup: 'GLOBAL' }),
    quiet: Flags.boolean({ char: 'q', description: 'no progress and no messages', helpGroup: 'GLOBAL' }),
  }
  /** Under --json: NDJSON ended by a summary, instead of one document. */
  static stream = false
  /** Runs until it is told to stop: SIGINT and SIGTERM then end it with 0, and it gets time to finish what it has in hand. */
  static service = false

  /** Looks at what there is besides itself: `config` then knows all commands. */
  static knowsOthers = false

  protected output!: Output
  protected readonly clock: Clock = systemClock
  protected readonly ids: Ids = systemIds
  private signals!: Signals
  private readonly failures: Failure[] = []
  private mode = { json: false, quiet: false, lines: false }
  private inherited: Inherited | null = null

  /** Runs this command by itself; its `config` need not know any other unless `knowsOthers`. Throws as `main` expects it. */
  static async runAlone(
    this: new (argv: string[], config: Config) => BlobsCommand,
    argv: readonly string[],
    config: Config,
  ): Promise<void> {
    await new this([...argv], config)._run()
  }

  /** Aborts when the command should stop. */
  protected get signal(): AbortSignal {
    return this.signals.signal
  }

  protected override async init(): Promise<void> {
    await super.init()
    const { service } = this.ctor as typeof BlobsCommand
    if (service) keepHeapSmall()
    this.signals = listenForSignals(service ? SERVICE_GRACE_MS : FINITE_GRACE_MS, (interrupted) => {
      this.output.alert(interrupted.message)
      // oclif offers no end that skips what still runs; a second Ctrl-C must have one.
      // oxlint-disable-next-line unicorn/no-process-exit
      process.exit(interrupted.exitCode)
    })
    this.mode.json ||= this.jsonEnabled()
    this.output = openOutput(this.mode, process, () => this.signals.stop())
  }

  protected override async parse<F extends Values, B extends Values, A extends Values>(
    options?: Interfaces.Input<F, B, A>,
    argv = this.argv,
  ): Promise<Interfaces.ParserOutput<F, B, A>> {
    const parsed = await super.parse<F, B, A>(options, argv)
    this.mode.quiet = this.inherited?.quiet === true || (parsed.flags as { quiet?: boolean }).quiet === true
    return parsed
  }

  /** Where this command looks for buckets, from its global flags and the environment. */
  protected access(flags: {
    profile?: string | undefined
    'token-file'?: string | undefined
    'token-stdin'?: boolean
    'ca-cert'?: string | undefined
    'single-writer'?: boolean
    'limit-rate'?: number | undefined
  }): Access {
    let token: Promise<string> | null = null
    return {
      ...this.inherited?.access,
      env: process.env,
      clock: this.clock,
      ids: this.ids,
      onRetry: (error, pause) =>
        this.output.message(`${plain(error.message)}; trying again in ${duration(pause / 1000)}`),
      onWarning: (message) => this.output.message(`warning: ${plain(message)}`),
      ...(flags['limit-rate'] === undefined ? {} : { limitRate: flags['limit-rate'] }),
      ...(flags.profile === undefined ? {} : { profile: flags.profile }),
      ...(flags['token-file'] === undefined ? {} : { tokenFile: flags['token-file'] }),
      ...(flags['token-stdin'] ? { tokenFromStdin: () => (token ??= readAll(process.stdin)) } : {}),
      ...(flags['ca-cert'] === undefined ? {} : { caCert: flags['ca-cert'] }),
      ...(flags['single-writer'] === true ? { singleWriter: true } : {}),
    }
  }

  /** Runs another command in this process, with its results among this one's, as lines under --json; gives its exit code. */
  protected async runOther(id: string, argv: readonly string[], inherited: Inherited): Promise<number> {
    const found = this.config.findCommand(id, { must: true })
    const Other = (await found.load()) as unknown as new (argv: string[], config: Config) => Command
    const command = new Other([...argv], this.config)
    if (!(command instanceof BlobsCommand)) throw new Error(`${id} is no command of ours`)
    command.id = id
    command.inherited = inherited
    command.mode = { ...this.mode, lines: true }
    try {
      await command._run()
      return 0
    } catch (error) {
      if (error instanceof Errors.ExitError) return error.oclif.exit ?? 1
      throw error
    }
  }

  /** Resolves when a service is told to stop. */
  protected async untilStopped(): Promise<void> {
    if (this.signal.aborted) return
    await new Promise<void>((resolve) => {
      this.signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }

  protected progress(title: string): Progress {
    return openProgress(title, this.output, process.stderr, this.clock)
  }

  /** One item failed, and the command goes on: it is told, and counted by `settle`. `name` is the item's as its user knows it. */
  protected fail(name: string, error: unknown): void {
    this.failures.push({ name, error })
    // The first waits: if it stays the only item of the command, its error is the command's error.
    if (this.failures.length === 2 && this.failures[0]) this.tell(this.failures[0])
    if (this.failures.length > 1) this.tell({ name, error })
  }

  /** Ends a command over several items, of which `done` succeeded: the summary as the last line, then the error if some failed. */
  protected settle(done: number, summary: object, text?: string): void {
    const { failures } = this
    const [first] = failures
    if (!first) return this.output.summary({ ...summary, failed: 0 }, text)
    if (failures.length === 1 && done === 0) throw first.error
    if (failures.length === 1) this.tell(first)
    const error = new PartialFailure(failures, done)
    const { exitCode } = viewError(error, this.clock.now(), this.words)
    this.output.summary({ ...summary, failed: failures.length, exitCode }, text)
    throw error
  }

  protected override async catch(error: Error): Promise<void> {
    const stopped = this.signals.signal.reason as unknown
    const interrupted = this.signals.signal.aborted && stopped instanceof Interrupted
    // A reader that went away has what it wanted.
    const exitCode = this.output.closed ? 0 : this.report(interrupted ? stopped : error)
    await this.output.flush()
    this.exit(exitCode)
  }

  protected override async finally(): Promise<void> {
    this.signals.release()
    await this.output.flush()
    this.output.dispose()
  }

  private tell({ name, error }: Failure): void {
    const view = viewError(error, this.clock.now(), this.words)
    if (this.output.json) return this.output.item('failed', { name, error: errorJson(view) })
    const shown = plain(name)
    const message = view.message.includes(shown) ? view.message : `${shown}: ${view.message}`
    this.printError({ ...view, hint: '', message })
  }

  private report(error: unknown): number {
    if (error instanceof Errors.ExitError) return error.oclif.exit ?? 1
    const view = viewError(error, this.clock.now(), this.words)
    if (process.env['BLOBS_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack ?? ''}\n`)
    const document = { error: errorJson(view) }
    if (!this.output.json || this.output.streamed) this.printError(view)
    else if (!(this.ctor as typeof BlobsCommand).stream && !this.mode.lines) this.output.document(document, '')
    // Of a partial failure, the lines before have told everything, the exit code too.
    else if (!(error instanceof PartialFailure)) this.output.item('error', document)
    return view.exitCode
  }

  private printError(view: ErrorView): void {
    const text = errorText(view)
    const colon = text.indexOf(':')
    const label = colon > 0 ? emphasize(text.slice(0, colon), process.stderr) : ''
    this.output.alert(`${label}${text.slice(Math.max(0, colon))}`)
  }

  private get words(): string {
    return (this.id ?? '').replaceAll(':', ' ')
  }
}

async function readAll(stdin: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = []
  for await (const part of stdin) parts.push(part)
  return Buffer.concat(parts).toString('utf8').trim()
}
