import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Interfaces } from '@oclif/core'

/** Runs one command line and sets the process's exit code or ends it. `root` is the package's folder. */
export async function start(argv: readonly string[], root: string): Promise<void> {
  const packageJson: Interfaces.PJSON = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [first] = argv
  // Asked often by scripts and installers: answered before the framework is loaded.
  if (argv.length === 1 && (first === '--version' || first === '-v')) return printVersion(packageJson)
  const { main } = await import('./cli/main.ts')
  await main([...argv], { root, pjson: packageJson })
}

function printVersion({ name, version }: Interfaces.PJSON): void {
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`)
}
