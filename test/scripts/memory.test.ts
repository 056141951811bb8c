import { closeSync, openSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeToken, openPlace, startServer, type Running } from '../../scripts/harness.ts'
import { sha256 } from '../../scripts/manifest.ts'
import { noise } from '../store/noise.ts'

const MiB = 1024 * 1024
const PIECES = 10

it('large blobs pass with little memory on both sides, two at a time', { timeout: 120_000 }, async () => {
  const place = openPlace('blobs-memory-')
  try {
    const host = place.machine('server')
    const server = await startServer(host)
    const client = place.machine('client', {
      BLOBS_TOKEN_FILE: await makeToken(host, server, 'large'),
      BLOBS_SERVER: server.url,
    })
    const files = [1, 2].map((seed) => writeNoise(join(place.folder, `source-${seed}`), seed))
    const puts = files.map((file, index) => peakOf(client.start(['put', file, `large/${index}`])))
    for (const peak of await Promise.all(puts)) expect(peak).toBeLessThan(160)
    const copies = files.map((file) => `${file}-copy`)
    const gets = copies.map((copy, index) => peakOf(client.start(['get', `large/${index}`, copy])))
    for (const peak of await Promise.all(gets)) expect(peak).toBeLessThan(130)
    expect(server.process.peakMemory() / MiB).toBeLessThan(190)
    expect(await Promise.all(copies.map(sha256))).toEqual(await Promise.all(files.map(sha256)))
  } finally {
    await place.dispose()
  }
})

/** MiB; throws unless the process ends well. */
async function peakOf(running: Running): Promise<number> {
  const timer = setInterval(() => running.peakMemory(), 10)
  const { code, err } = await running.ended
  clearInterval(timer)
  if (code !== 0) throw new Error(err)
  return running.peakMemory() / MiB
}

function writeNoise(path: string, seed: number): string {
  const file = openSync(path, 'wx')
  for (let piece = 0; piece < PIECES; piece++) writeSync(file, noise(16 * MiB, seed * PIECES + piece))
  closeSync(file)
  return path
}
