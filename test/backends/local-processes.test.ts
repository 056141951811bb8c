import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { openLocal } from '../../src/backends/local/local.ts'
import { sha256 } from '../../src/content/hash.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { entries, present, readAll } from './conformance.ts'

const WRITER = fileURLToPath(new URL('local-writer.ts', import.meta.url))
const ECHO = fileURLToPath(new URL('local-echo.ts', import.meta.url))
let directory: string
let children: ChildProcess[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-processes-'))
  children = []
})
afterEach(async () => {
  for (const child of children) child.kill('SIGKILL')
  await rm(directory, { recursive: true })
})

interface Writer {
  readonly child: ChildProcess
  /** Entry ids with the chunks they name: all that the process saw acknowledged. */
  readonly acknowledged: Map<string, string[]>
  readonly ready: Promise<unknown>
  readonly ended: Promise<unknown>
}

function startWriter(count: number, parallel: number): Writer {
  const child = spawn(process.execPath, [WRITER, directory, String(count), String(parallel)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const acknowledged = new Map<string, string[]>()
  const lines = createInterface({ input: present(child.stdout) })
  const ready = once(lines, 'line')
  lines.on('line', (line) => {
    const [id, names] = line.split(' ')
    if (id?.length === 32 && names?.length === 129) acknowledged.set(id, names.split(','))
  })
  return { child, acknowledged, ready, ended: Promise.all([once(child, 'close'), once(lines, 'close')]) }
}

/** Everything acknowledged is there, whole and once; what else is there is whole too. */
async function verify(acknowledged: ReadonlyMap<string, readonly string[]>): Promise<number> {
  const backend = await openLocal({ directory, clock })
  const { log, content } = present(await backend.open('load'))
  const found = await readAll(log)
  const named = new Map(found.map((entry) => [entry.id, Buffer.from(entry.data).toString().split(',')]))
  expect(named.size).toBe(found.length)
  for (const [id, hashes] of acknowledged) expect(named.get(id)).toEqual(hashes)
  const hashes = [...named.values()].flat()
  const bytes = await content.get(hashes)
  expect(bytes.map((one) => one && sha256(one))).toEqual(hashes)
  await backend.close()
  return found.length
}

test('several processes write at once: every entry and chunk of each is there', async () => {
  const writers = Array.from({ length: 4 }, () => startWriter(40, 8))
  await Promise.all(writers.map((writer) => writer.ended))
  expect(writers.map((writer) => writer.child.exitCode)).toEqual([0, 0, 0, 0])
  const acknowledged = new Map(writers.flatMap((writer) => [...writer.acknowledged]))
  expect(acknowledged.size).toBe(160)
  expect(await verify(acknowledged)).toBe(160)
})

test('two processes hear of each other within milliseconds', async () => {
  const backend = await openLocal({ directory, clock })
  await backend.create('load')
  const { log } = present(await backend.open('load'))
  const echo = spawn(process.execPath, [ECHO, directory, '15'], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(echo)
  await once(present(echo.stdout), 'data')
  const start = performance.now()
  const signal = new AbortController().signal
  for (let turn = 0; turn < 15; turn++) {
    const after = present((await log.append(entries(1)))[0])
    await log.wait({ after, signal })
  }
  // Looking only each second would take at least fifteen.
  expect(performance.now() - start).toBeLessThan(5000)
  await backend.close()
})

test('one process waits while another, in another transaction, holds the lock', async () => {
  const [a, b] = [await openLocal({ directory, clock }), await openLocal({ directory, clock })]
  await a.create('load')
  const [logA, logB] = [present(await a.open('load')).log, present(await b.open('load')).log]
  const both = await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? logA : logB).append(entries(2))))
  expect(new Set(both.flat()).size).toBe(100)
  await a.close()
  await b.close()
})
