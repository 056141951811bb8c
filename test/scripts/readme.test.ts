import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../../scripts/harness.ts'
import { openMachine } from '../commands/blobs.ts'
import { format, parse, play } from '../commands/transcript.ts'

const TRANSCRIPT = /^```console\n([\s\S]*?)^```$/gm

it.each(['README.md', 'docs/tour.md'])(
  '%s shows what a person will see (UPDATE_GOLDEN=1 writes it anew)',
  { timeout: 180_000 },
  async (name) => {
    const file = join(ROOT, name)
    const text = readFileSync(file, 'utf8')
    const machine = openMachine()
    try {
      let seen = ''
      let end = 0
      for (const match of text.matchAll(TRANSCRIPT)) {
        const steps = []
        for (const { command } of parse(match[1] ?? '')) steps.push({ command, output: await play(machine, command) })
        seen += `${text.slice(end, match.index)}\`\`\`console\n${format(steps)}\`\`\``
        end = match.index + match[0].length
      }
      seen += text.slice(end)
      if (process.env['UPDATE_GOLDEN']) writeFileSync(file, seen)
      else expect(seen).toBe(text)
    } finally {
      await machine.dispose()
    }
  },
)
