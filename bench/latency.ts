import { existsSync, mkdirSync, readFileSync, watch, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeToken, startServer, type Place } from '../scripts/harness.ts'
import { percentile, type Result } from './measure.ts'

const SAVES = 200
const TOO_LONG_MS = 10_000

/** From a save in one folder to the same bytes in the other: two agents that watch, one server. */
export async function* measureLatency(place: Place): AsyncGenerator<Result> {
  const host = place.machine('server')
  const server = await startServer(host)
  const token = { BLOBS_TOKEN_FILE: await makeToken(host, server, 'live') }
  const folders = ['one', 'two'].map((name) => {
    const machine = place.machine(name, token)
    const folder = join(machine.home, 'folder')
    mkdirSync(folder)
    machine.start(['sync', folder, `${server.url}/live`, '--watch', '--quiet'])
    return folder
  })
  const [from = '', to = ''] = folders
  const probe = openProbe(to)
  await save(from, 'warm-up', probe, 0)
  const spans: number[] = []
  for (let i = 1; i <= SAVES; i++) {
    spans.push(await save(from, `note-${i % 20}.txt`, probe, i))
    await sleep(20)
  }
  probe.close()
  yield { what: `save → bytes in the other folder, p50 of ${SAVES}`, value: percentile(spans, 50), unit: 'ms' }
  yield { what: `save → bytes in the other folder, p99 of ${SAVES}`, value: percentile(spans, 99), unit: 'ms' }
}

async function save(folder: string, name: string, probe: Probe, turn: number): Promise<number> {
  const text = `${turn}: ${'x'.repeat(1000)}`
  const arrived = probe.seen(name, text)
  const started = performance.now()
  writeFileSync(join(folder, name), text)
  return (await arrived) - started
}

interface Probe {
  /** When the file of this name holds this text, by `performance.now()`. */
  seen(name: string, text: string): Promise<number>
  close(): void
}

function openProbe(folder: string): Probe {
  let look: (() => void) | null = null
  const watcher = watch(folder, () => look?.())
  return {
    seen: (name, text) =>
      new Promise((resolve, reject) => {
        const path = join(folder, name)
        const timer = setTimeout(
          () => reject(new Error(`${name} did not arrive within ${TOO_LONG_MS} ms`)),
          TOO_LONG_MS,
        )
        // The watcher may miss one: look now and then, too.
        const interval = setInterval(() => look?.(), 5)
        look = () => {
          if (!existsSync(path) || readFileSync(path, 'utf8') !== text) return
          look = null
          clearTimeout(timer)
          clearInterval(interval)
          resolve(performance.now())
        }
        look()
      }),
    close: () => watcher.close(),
  }
}
