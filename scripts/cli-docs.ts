/** `npm run docs`: writes docs/cli.md from the commands' own help, as the last build has it. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from '@oclif/core'

const ROOT = join(import.meta.dirname, '..')
export const CLI_DOCS = join(ROOT, 'docs', 'cli.md')
// Read when oclif is loaded; else it would be that of the terminal.
process.env['OCLIF_COLUMNS'] = '80'
const { Config, Help } = await import('@oclif/core')

const HEAD = `# The command line

Made from \`blobs COMMAND --help\` by \`npm run docs\`; a test keeps it current.

## What holds for every command

- \`bucket/key\` is literal; in a URL, keys are percent-encoded. A URL beats \`BLOBS_SERVER\`, that beats the profile, that beats the
  embedded store of this machine.
- stdout carries data only; progress and messages go to stderr and are silent with \`--quiet\`. \`--json\` gives one document, or for
  commands over many items one JSON object a line with a \`type\`, the last of type \`summary\`.
- An error says what happened and to what, and after \`→\` what to do next. With \`--json\` it is a document \`{ "error": { code, message,
  hint, exitCode, retryable, key?, current? } }\` on stdout.
- Secrets are never flags: \`BLOBS_TOKEN\`, \`BLOBS_TOKEN_FILE\`, \`--token-file\`, \`--token-stdin\`.

| exit code | when |
| --- | --- |
| 0 | done; a long-running command that was told to stop and stopped gracefully |
| 1 | anything else, an unreadable local file among it; an unknown code is a failure |
| 2 | usage: bad flag, malformed key or URL |
| 3 | partly done; what failed is named |
| 4 / 5 | not signed in, or a bad, expired or revoked token / not allowed by the token's scope |
| 6 | not found: bucket, blob, version, local file |
| 7 | version conflict, or already exists |
| 8 | temporary: unreachable, timed out, a listing or upload cut short; trying again may help |
| 9 | integrity: bytes do not match their hash |
| 10 | quota, size limit, disk full |
| 12 | refused for safety: many deletes wait for a yes, a second agent on the folder, an unproven bucket |
| 130 / 143 | a finite command was interrupted / terminated |
`

class PlainHelp extends Help {
  text(command: Command.Loadable): string {
    return this.formatCommand(command)
  }
}

/** The whole page. Reads what the last build left. */
export async function cliDocs(): Promise<string> {
  const config = await Config.load({ root: ROOT })
  const help = new PlainHelp(config, { stripAnsi: true })
  const own = config.commands.filter((command) => command.pluginName === config.name && !command.hidden)
  const sections = own
    .toSorted((a, b) => a.id.localeCompare(b.id))
    .map(
      (command) => `## blobs ${command.id.replaceAll(':', ' ')}\n\n\`\`\`text\n${tidy(help.text(command))}\n\`\`\`\n`,
    )
  return [HEAD, ...sections].join('\n')
}

function tidy(text: string): string {
  return text
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .trim()
}

if (import.meta.main) {
  writeFileSync(CLI_DOCS, await cliDocs())
  console.log('wrote docs/cli.md')
}
