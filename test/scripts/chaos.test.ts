import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT } from '../../scripts/harness.ts'
import { lacksNginx } from '../../scripts/nginx.ts'
import { lacksNats } from '../backends/nats-server.ts'

const lacks = lacksNats() ?? lacksNginx()
if (lacks !== null && process.env['CI'] !== undefined) throw new Error(`chaos cannot be made: ${lacks}`)

/** Other draws: `CHAOS_SEED=7`. */
const SEED = process.env['CHAOS_SEED'] ?? '20260101'
const LIMIT = 300_000

it.skipIf(lacks !== null)(
  `three servers on three nodes lose nothing, whatever is killed, stopped and cut off, each once (seed ${SEED}) (${lacks ?? 'run'})`,
  { timeout: LIMIT },
  async () => {
    const { code, text } = await run(['--seed', SEED])
    expect(text.match(/^WRONG.*/gm) ?? []).toEqual([])
    expect(code).toBe(0)
    expect(text.match(/without a write/g)?.length).toBeGreaterThanOrEqual(8)
    // The outages as clients saw them are of interest in any case.
    process.stdout.write(text)
    const mayCut = !text.includes('SKIPPED')
    const mustCut = process.env['CI'] !== undefined && process.getuid?.() === 0
    expect(mayCut || !mustCut).toBe(true)
  },
)

function run(args: readonly string[]): Promise<{ readonly code: number | null; readonly text: string }> {
  const child = spawn(process.execPath, [join(ROOT, 'scripts', 'chaos.ts'), ...args], { stdio: 'pipe' })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (piece: Buffer) => (text += piece.toString()))
  const ending = setTimeout(() => child.kill('SIGTERM'), LIMIT - 5000)
  return new Promise((resolve) => {
    child.once('close', (code) => {
      clearTimeout(ending)
      resolve({ code, text })
    })
  })
}
