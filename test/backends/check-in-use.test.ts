import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { examine, openSample, scratch } from './sample-store.ts'

const WRITER = fileURLToPath(new URL('../../scripts/kill-writer.ts', import.meta.url))

test('a store that is checked while others write to it is not found damaged', async () => {
  const directory = await scratch()
  await (await openSample(directory)).close()
  const writers = ['versions', 'crowd', 'batches', 'buckets'].map((kind, seed) =>
    spawn(process.execPath, [WRITER, directory, kind, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] }),
  )
  try {
    await Promise.all(writers.map((writer) => once(writer.stdout, 'data')))
    const end = performance.now() + 4000
    let versions = 0
    while (performance.now() < end) {
      const { damage, examined } = await examine(directory)
      expect(damage).toEqual([])
      versions = examined?.versions ?? 0
    }
    expect(versions).toBeGreaterThan(0)
    expect(writers.map(({ exitCode }) => exitCode)).toEqual([null, null, null, null])
  } finally {
    for (const writer of writers) writer.kill('SIGKILL')
    await Promise.all(writers.map(async (writer) => writer.signalCode ?? once(writer, 'close')))
    await rm(directory, { recursive: true })
  }
})
