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
const LIMIT = 200_000
/** What must have gone wrong each time; the network needs root. */
const FAULTS = [
  'kill -9 of a server',
  'a server is replaced gracefully',
  'kill -9 of a node that follows',
  'kill -9 of the node that leads',
  'the node that leads stands still',
  'a server stands still',
  'two of three nodes are gone',
  'all nodes and all servers are killed and started again',
]

it.skipIf(lacks !== null)(
  `three servers on three nodes lose nothing, whatever is killed, stopped and cut off, each once (seed ${SEED}) (${lacks ?? 'run'})`,
  { timeout: LIMIT },
  async () => {
    const { code, text } = await run(['--seed', SEED])
    // The outages as clients saw them are of interest in any case.
    process.stdout.write(text)
    expect(text.match(/^WRONG.*/gm) ?? []).toEqual([])
    expect(code).toBe(0)
    const mayCut = !text.includes('SKIPPED')
    const faults = mayCut ? [...FAULTS, 'the node that leads is cut off'] : FAULTS
    expect(faults.filter((fault) => !text.includes(fault))).toEqual([])
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
