import { execute } from '@oclif/core/execute'

/** Hands a command line to oclif, which finds the command, runs it and ends the process with its exit code. */
export async function run(argv: readonly string[], root: string): Promise<void> {
  await execute({ args: [...argv], dir: root })
}
