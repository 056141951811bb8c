import { Config, Errors, flush, handle, run } from '@oclif/core'
import { runDirectly, type Package } from './direct.ts'
import { errorJson, errorText, viewError, type ErrorView } from './errors.ts'
import { unknownWords, viewUnknown } from './unknown-command.ts'

/**
 * Runs one command line of a package. Ends the process with the command's exit code when it failed; what went wrong before a command
 * could start (no such command) is told here, as a usage error.
 */
export async function main(argv: string[], options: Package): Promise<void> {
  process.once('beforeExit', unfinished)
  process.stdout.on('error', leave)
  try {
    const [first, ...rest] = argv
    if (!(await runDirectly(argv, options))) await run(first === 'help' ? [...rest, '--help'] : argv, options)
    await flush()
  } catch (error) {
    if (error instanceof Errors.ExitError) return await handle(error)
    const view = await viewStart(error, options)
    if (argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: errorJson(view) })}\n`)
    else process.stderr.write(`${errorText(view)}\n`)
    process.exitCode = view.exitCode
  } finally {
    process.off('beforeExit', unfinished)
    process.stdout.off('error', leave)
  }
}

/** Who read the help has seen enough of it: there is nothing left to finish. A command sees to its own output. */
function leave(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.off('beforeExit', unfinished)
}

/** Nothing is left that could happen, and the command is not done: without this it would seem to have succeeded. */
function unfinished(): void {
  const view = viewError(new Error('the command came to a stop before it was done'), Date.now(), '')
  process.stderr.write(`${errorText(view)}\n`)
  process.exitCode = view.exitCode
}

/** What to tell about an error that came before any command ran. */
async function viewStart(error: unknown, options: Package): Promise<ErrorView> {
  const words = error instanceof Error && 'oclif' in error ? unknownWords(error.message) : null
  if (words === null) return viewError(error, Date.now(), '')
  const { commands } = await Config.load(options)
  const shown = commands.filter((command) => !command.hidden).map(({ id }) => id.replaceAll(':', ' '))
  return viewUnknown(words, shown)
}
