import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { sha256 } from '../../../src/content/hash.ts'
import { bytesOf, put } from '../../store/acts.ts'
import { bucketsAt } from './open.ts'
import type { Service } from './service.ts'

const KILLS = 3
type Acknowledged = readonly [key: string, version: number, hash: string]

/** What was acknowledged is there after the writer was killed in the middle of whatever it did. */
export function killedWriter(service: () => Service, bucket: string): void {
  it('a writer that is killed in the middle leaves all that was acknowledged, and a bucket that goes on', async () => {
    const url = await service().place()
    const home = mkdtempSync(join(tmpdir(), 'blobs-killed-'))
    const buckets = await bucketsAt(url, service(), home)
    try {
      await buckets.create(bucket)
      for (let kill = 0; kill < KILLS; kill++) {
        const pause = randomInt(30, 600)
        const told = await writeUntilKilled([url, JSON.stringify(service().env ?? {}), home, bucket], pause)
        const store = await buckets.open(bucket)
        for (const [key, version, hash] of told) {
          const bytes = await bytesOf(store, key, { version })
          expect(bytes && sha256(bytes), `${key} version ${version}, killed after ${pause} ms`).toBe(hash)
        }
        expect((await put(store, 'after', String(kill))).version).toBe(kill + 1)
        await store.close()
      }
    } finally {
      await buckets.close()
    }
  }, 120_000)
}

async function writeUntilKilled(args: readonly string[], pause: number): Promise<readonly Acknowledged[]> {
  const script = fileURLToPath(new URL('writer-process.ts', import.meta.url))
  const child = spawn(process.execPath, ['--no-warnings', script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const told: Acknowledged[] = []
  const ended = new Promise((resolve) => child.on('close', resolve))
  for await (const line of createInterface(child.stdout)) {
    // The last line may be cut in the middle.
    if (!line.endsWith(']')) continue
    const item = JSON.parse(line) as Acknowledged | readonly ['ready']
    if (item[0] === 'ready') setTimeout(() => child.kill('SIGKILL'), pause)
    else told.push(item as Acknowledged)
  }
  await ended
  if (child.signalCode !== 'SIGKILL') throw new Error(`the writer ended by itself: ${errors}`)
  return told
}
