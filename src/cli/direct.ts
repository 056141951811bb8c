import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Config, type Interfaces } from '@oclif/core'
import { BlobsCommand } from './command.ts'

/** What one word of a command line can name: no flag, no topic with another word, no path. */
const WORD = /^[a-z]+$/
const HELP = new Set(['--help', '-h'])

export interface Package {
  /** The folder of package.json. */
  readonly root: string
  /** What is in that. */
  readonly pjson: Interfaces.PJSON
}

/**
 * Runs the command that the first word names, if it has a module of its own and nobody asks for help, as the framework would; false, with
 * nothing done, for all others. The framework reads what it knows of all commands before it runs one, which takes as long as many a command.
 */
export async function runDirectly(argv: readonly string[], { root, pjson }: Package): Promise<boolean> {
  const [word = '', ...rest] = argv
  if (!WORD.test(word) || asksForHelp(rest)) return false
  const path = join(root, String(commandsOf(pjson)), `${word}.js`)
  if (!existsSync(path)) return false
  const { default: Named } = (await import(pathToFileURL(path).href)) as { default?: unknown }
  if (!isCommand(Named)) return false
  Named.id = word
  await Named.runAlone(rest, Named.knowsOthers ? await Config.load({ root, pjson }) : configAlone({ root, pjson }))
  return true
}

function commandsOf({ oclif }: Interfaces.PJSON): string | undefined {
  return typeof oclif.commands === 'object' ? oclif.commands.target : oclif.commands
}

function asksForHelp(words: readonly string[]): boolean {
  const end = words.indexOf('--')
  return (end < 0 ? words : words.slice(0, end)).some((word) => HELP.has(word))
}

type Runnable = typeof BlobsCommand & (new (argv: string[], config: Config) => BlobsCommand)

function isCommand(value: unknown): value is Runnable {
  return typeof value === 'function' && value.prototype instanceof BlobsCommand
}

/** What a command needs to know that does not ask for others. There are no plugins, and so no hooks. */
function configAlone({ root, pjson }: Package): Config {
  const { name, version, oclif } = pjson
  return Object.assign(new Config({ root, pjson }), {
    root,
    pjson,
    name,
    version,
    bin: oclif.bin ?? name,
    topicSeparator: ' ' as const,
    runHook: async () => ({ successes: [], failures: [] }),
  })
}
