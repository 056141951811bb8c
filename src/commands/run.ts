import { Args, Flags } from '@oclif/core'
import { BlobsCommand } from '../cli/command.ts'
import { count, plain } from '../cli/format.ts'
import { readScript, type ScriptLine } from '../cli/script.ts'
import { viewUnknown } from '../cli/unknown-command.ts'
import { BlobsError } from '../store/contract/errors.ts'

const PARTLY = 3

export default class Run extends BlobsCommand {
  static override summary = 'Run many commands in one process.'
  static override description = `FILE has one command a line, without "blobs": words are quoted as in a shell and nothing is expanded; # begins a comment. FILE - is stdin, whose lines are run as they come; a file is checked before its first line is run.

The commands run in order. It stops at the first that fails, with its exit code, unless --keep-going. The global flags given here hold for every line that does not give its own.`
  static override usage = 'run FILE [--keep-going]'
  static override examples = [
    { description: 'Run what a file says', command: '<%= config.bin %> run nightly.blobs' },
    {
      description: 'Put what a program finds, in one process',
      command: `$ find . -name '*.pdf' -printf 'put "%p" team/pdf/\\n' | <%= config.bin %> run -`,
    },
  ]
  static override args = {
    file: Args.string({ description: 'file with commands; - is stdin', required: true, ignoreStdin: true }),
  }
  static override flags = {
    'keep-going': Flags.boolean({ char: 'k', description: 'go on after a command that failed' }),
  }
  static override stream = true

  static override knowsOthers = true

  private done = 0
  private readonly failed: number[] = []

  async run(): Promise<void> {
    const { args, flags } = await this.parse(Run)
    const access = this.access(flags)
    const lines = readScript(args.file, process.stdin)
    for await (const line of args.file === '-' ? lines : await this.checked(lines)) {
      this.signal.throwIfAborted()
      const code = await this.runLine(line, { access, quiet: flags.quiet })
      this.signal.throwIfAborted()
      if (code === 0) this.done += 1
      else this.failed.push(code)
      if (code !== 0 && !flags['keep-going']) {
        if (!this.output.json) this.output.alert(`stopped at line ${line.number}: ${plain(line.words.join(' '))}`)
        break
      }
    }
    this.conclude(flags['keep-going'] === true)
  }

  /** All lines, each of which can be run. */
  private async checked(lines: AsyncIterable<ScriptLine>): Promise<readonly ScriptLine[]> {
    const all: ScriptLine[] = []
    for await (const line of lines) {
      this.find(line)
      all.push(line)
    }
    return all
  }

  /** Throws `InvalidRequest` unless the line names a command. */
  private find({ words, number }: ScriptLine): { readonly id: string; readonly rest: readonly string[] } {
    const [first = '', second = ''] = words
    const ids = this.config.commandIDs
    const id = ids.includes(`${first}:${second}`) ? `${first}:${second}` : first
    if (ids.includes(id) && id !== 'run') return { id, rest: words.slice(id === first ? 1 : 2) }
    if (id === 'run') throw new BlobsError('InvalidRequest', `line ${number}: run cannot be run within run`)
    const shown = this.config.commands.filter((command) => !command.hidden).map((one) => one.id.replaceAll(':', ' '))
    const { message, hint } = viewUnknown(words.join(' '), shown)
    throw new BlobsError('InvalidRequest', `line ${number}: ${message}`, { hint })
  }

  private async runLine(line: ScriptLine, inherited: Parameters<typeof this.runOther>[2]): Promise<number> {
    const { id, rest } = this.find(line)
    this.output.item('command', { line: line.number, command: line.words })
    const exitCode = await this.runOther(id, rest, inherited)
    this.output.item('done', { line: line.number, exitCode })
    return exitCode
  }

  private conclude(keepGoing: boolean): void {
    const [first = 0] = this.failed
    const alike = this.done === 0 && this.failed.every((code) => code === first)
    const exitCode = !keepGoing || alike ? first : this.failed.length === 0 ? 0 : PARTLY
    const text =
      this.done + this.failed.length > 1
        ? `${count(this.done, 'command')} done, ${this.failed.length} failed`
        : undefined
    this.output.summary({ done: this.done, failed: this.failed.length, exitCode }, text)
    if (exitCode !== 0) this.exit(exitCode)
  }
}
