import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Runs one command line and sets the process's exit code or ends it. `root` is the package's folder. */
export async function start(argv: readonly string[], root: string): Promise<void> {
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-v')) return printVersion(root)
  const { main } = await import('./cli/main.ts')
  await main([...argv], root)
}

// Asked often by scripts and installers: answered before the framework is loaded.
function printVersion(root: string): void {
  const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`)
}
