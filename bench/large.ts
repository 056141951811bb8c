import { randomBytes } from 'node:crypto'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { makeToken, startServer, type Place } from '../scripts/harness.ts'
import { sha256 } from '../scripts/manifest.ts'
import { median, span, system, type Result } from './measure.ts'

const MIB = 1024 ** 2
const SIZE = 1024 * MIB
const RUNS = 3

/** One large file to a server and back. Each put is of bytes that the server has not seen. */
export async function* measureLarge(place: Place): AsyncGenerator<Result> {
  const source = join(place.folder, 'source.bin')
  const copy = join(place.folder, 'copy.bin')
  writeRandom(source)
  const rate = (milliseconds: number): number => SIZE / MIB / (milliseconds / 1000)
  const cp = { what: 'cp', value: rate(await median(RUNS, () => system('cp', ['--reflink=never', source, copy]))) }
  yield { what: '1 GiB: cp', value: cp.value, unit: 'MiB/s' }

  const host = place.machine('server')
  const server = await startServer(host)
  const client = place.machine('client', {
    BLOBS_TOKEN_FILE: await makeToken(host, server, '*'),
    BLOBS_SERVER: server.url,
  })
  await client.must(['bucket', 'create', 'large'])
  const up = rate(await span(() => client.must(['put', source, 'large/file.bin', '--quiet'])))
  yield { what: '1 GiB: put', value: up, unit: 'MiB/s', base: cp }
  rmSync(copy)
  const down = rate(await median(RUNS, () => client.must(['get', 'large/file.bin', copy, '--quiet'])))
  yield { what: '1 GiB: get', value: down, unit: 'MiB/s', base: cp }
  if ((await sha256(source)) !== (await sha256(copy))) throw new Error('what came back has other bytes')
}

function writeRandom(path: string): void {
  const file = openSync(path, 'wx')
  for (let written = 0; written < SIZE; written += 16 * MIB) writeSync(file, randomBytes(16 * MIB))
  closeSync(file)
}
