import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Runs one command line and sets the process's exit code or ends it. `root` is the package's folder. */
export async function start(argv: readonly string[], root: string): Promise<void> {
  const packageJson: PackageJson = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [first] = argv
  // Asked often by scripts and installers: answered before the framework is loaded.
  if (argv.length === 1 && (first === '--version' || first === '-v')) return printVersion(packageJson)
  const { main } = await import('./cli/main.ts')
  await main([...argv], { root, pjson: packageJson })
}

interface PackageJson {
  readonly name: string
  readonly version: string
  readonly oclif: object
}

function printVersion({ name, version }: PackageJson): void {
  process.stdout.write(`${name}/${version} ${process.platform}-${process.arch} node-${process.version}\n`)
}
