import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openMachine } from '../commands/blobs.ts'
import { format, parse, play } from '../commands/transcript.ts'

const README = join(import.meta.dirname, '../../README.md')
const TRANSCRIPT = /^```console\n([\s\S]*?)^```$/gm

it('README.md shows what a person will see (UPDATE_GOLDEN=1 writes it anew)', { timeout: 90_000 }, async () => {
  const text = readFileSync(README, 'utf8')
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
    if (process.env['UPDATE_GOLDEN']) writeFileSync(README, seen)
    else expect(seen).toBe(text)
  } finally {
    await machine.dispose()
  }
})
