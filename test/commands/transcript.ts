import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openMachine, type Machine } from './blobs.ts'

/**
 * Plays the transcripts of a folder as tests. Each file is what a person types and sees: lines that begin with `$ ` are run by a shell in
 * an empty home, and what follows is what came out of both streams, with `[exit N]` when it did not end with 0. UPDATE_GOLDEN=1 writes
 * them anew. Files whose names begin with `server` have a server (`$SERVER`), a token for the bucket `team`, and its data in `$DATA`.
 */
export function playTranscripts(folder: string, milliseconds: number): void {
  describe.concurrent('transcripts', () => {
    for (const file of readdirSync(folder).sort()) {
      test(file, { timeout: milliseconds }, async () => {
        const machine = openMachine()
        try {
          const steps = parse(readFileSync(join(folder, file), 'utf8'))
          const env = file.startsWith('server') ? await serverEnv(machine) : {}
          const seen: Step[] = []
          for (const { command } of steps) seen.push({ command, output: await play(machine, command, env) })
          if (process.env['UPDATE_GOLDEN']) writeFileSync(join(folder, file), format(seen))
          else expect(format(seen)).toBe(format(steps))
        } finally {
          await machine.dispose()
        }
      })
    }
  })
}

interface Step {
  readonly command: string
  readonly output: string
}

async function serverEnv(machine: Machine): Promise<Record<string, string>> {
  const server = await machine.serve()
  const { stdout } = await machine.blobs(['token', 'create', 'team', '--data', server.data, '--name', 'ada', '-q'])
  return { SERVER: server.url, BLOBS_TOKEN: stdout.trim(), DATA: server.data }
}

/** Runs a step's command; what came out, without what differs from run to run. */
export async function play(machine: Machine, command: string, env: Record<string, string> = {}): Promise<string> {
  const { code, stdout } = await machine.shell(`{ ${command.replaceAll('\n', ' ')}\n} 2>&1`, { env })
  const output = normalise(stdout, machine, env).replace(/\n$/, '')
  return [output, ...(code === 0 ? [] : [`[exit ${code ?? 'signal'}]`])].filter((part) => part !== '').join('\n')
}

/** What differs from run to run: times, ids, places, speeds. */
function normalise(text: string, machine: Machine, env: Record<string, string>): string {
  let plain = text.replaceAll(machine.home, '~')
  if (env['SERVER']) plain = plain.replaceAll(env['SERVER'], 'http://127.0.0.1:7420')
  return (
    plain
      .replaceAll(/\b\d{4}-\d\d-\d\d \d\d:\d\d\b/g, '2026-07-28 14:02')
      .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-07-28T14:02:00.000Z')
      .replaceAll(/\b[0-9a-f]{32}\b/g, '0123456789abcdef0123456789abcdef')
      .replaceAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g, 'eyJhbGciOiJIUzI1NiJ9.eyJidWNrZXQiOiJ0ZWFtIn0.c2lnbmF0dXJl')
      // In a table the column is as wide as its longest time.
      .replaceAll(/\d+ (s|min) ago(?= {2})/g, (time) => 'just now'.padEnd(time.length))
      .replaceAll(/(just now|\d+ (s|min) ago)/g, 'just now')
      .replaceAll(/^VERSION {2}WHEN( +)SIZE.*(?:\n +\d+ .*)*/gm, narrowed)
      .replaceAll(/, in [\d.]+ s(?=\)?$)/gm, ', in 0.1 s')
      .replaceAll(/ · [\d.]+ s$/gm, ' · 0.1 s')
      .replaceAll(/"seconds":[\d.]+/g, '"seconds":0.1')
      .replaceAll(/\bpid \d+/g, 'pid 4711')
      .replaceAll(/\b127\.0\.0\.1:\d+\/notes\b/g, '127.0.0.1:7420/notes')
      .replaceAll(/#[\w-]{22}(?=')/g, '#Zk3nYw0q0u9yqvVjJpX0Bg')
      .replaceAll(/servers\/[0-9a-f]{32}/g, 'servers/0123456789abcdef0123456789abcdef')
      .replaceAll(/\.conflict-\d{8}T\d{6}Z-/g, '.conflict-20260728T140200Z-')
      .replaceAll(/\(laptop \d{4}-\d\d-\d\d\)/g, '(laptop 2026-07-28)')
  )
}

/** A history on a slow machine: `1 min ago` is wider than `just now`. */
function narrowed(table: string, gap: string): string {
  const extra = ' '.repeat(Math.max(0, gap.length - 24))
  return table.replace(`WHEN${gap}`, `WHEN${gap.slice(extra.length)}`).replaceAll(`just now${extra}`, 'just now')
}

export function parse(text: string): Step[] {
  return text
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const [command = '', ...output] = part.trimEnd().split('\n')
      return { command, output: output.join('\n') }
    })
}

export function format(steps: readonly Step[]): string {
  return steps.map(({ command, output }) => `$ ${command}\n${output === '' ? '' : `${output}\n`}`).join('\n')
}
