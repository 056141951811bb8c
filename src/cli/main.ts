import { flush, handle, run, type Interfaces } from '@oclif/core'
import { Errors } from '@oclif/core'
import { errorJson, errorText, viewError } from './errors.ts'

/**
 * Runs one command line of the package that `options` names (the folder of package.json, and what is in that). Ends the process with the command's exit code when it
 * failed; what went wrong before a command could start (no such command) is told here, as a usage error.
 */
export async function main(argv: string[], options: Interfaces.LoadOptions): Promise<void> {
  try {
    const [first, ...rest] = argv
    await run(first === 'help' ? [...rest, '--help'] : argv, options)
    await flush()
  } catch (error) {
    if (error instanceof Errors.ExitError) return await handle(error)
    const view = viewError(error, Date.now(), '')
    if (argv.includes('--json')) process.stdout.write(`${JSON.stringify({ error: errorJson(view) })}\n`)
    else process.stderr.write(`${errorText(view)}\n`)
    process.exitCode = view.exitCode
  }
}
