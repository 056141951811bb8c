import { randomBytes } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeToken, startServer, type Place } from '../scripts/harness.ts'
import { differences, manifestOf } from '../scripts/manifest.ts'
import { isInstalled, median, span, system, type Result } from './measure.ts'

const FILES = 10_000
const FILE_BYTES = 4096
const FOLDERS = 100
const RUNS = 3

/** A folder of many small files to a server, from there to a second folder, and once more with nothing to do. */
export async function* measureTree(place: Place): AsyncGenerator<Result> {
  const source = join(place.folder, 'source')
  makeTree(source)
  const copy = join(place.folder, 'copy')
  const clean = (): void => rmSync(copy, { recursive: true, force: true })
  const cp = { what: 'cp -a', value: await median(RUNS, () => (clean(), system('cp', ['-a', source, copy]))) }
  const label = `${FILES.toLocaleString('en-US')} × 4 KiB`
  yield { what: `${label}: cp -a`, value: cp.value, unit: 'ms' }
  let rsync: typeof cp | null = null
  if (isInstalled('rsync')) {
    rsync = {
      what: 'rsync -a',
      value: await median(RUNS, () => (clean(), system('rsync', ['-a', `${source}/`, copy]))),
    }
    yield { what: `${label}: rsync -a`, value: rsync.value, unit: 'ms', base: cp }
  }
  const quiet = rsync && {
    what: 'rsync -a',
    value: await median(RUNS, () => system('rsync', ['-a', `${source}/`, copy])),
  }
  if (quiet) yield { what: `${label}: rsync -a, nothing to do`, value: quiet.value, unit: 'ms' }
  clean()

  const host = place.machine('server')
  const server = await startServer(host)
  const token = { BLOBS_TOKEN_FILE: await makeToken(host, server, 'tree') }
  const [one, two] = [place.machine('one', token), place.machine('two', token)]
  const base = rsync ?? cp
  const up = await span(() => one.must(['sync', source, `${server.url}/tree`, '--quiet']))
  yield { what: `${label}: first sync, folder → server`, value: up, unit: 'ms', base }
  const second = join(place.folder, 'second')
  const down = await span(() => two.must(['sync', second, `${server.url}/tree`, '--quiet']))
  yield { what: `${label}: first sync, server → second folder`, value: down, unit: 'ms', base }
  const idle = await median(RUNS, () => one.must(['sync', source, '--quiet']))
  yield { what: `${label}: sync, nothing to do`, value: idle, unit: 'ms', ...(quiet ? { base: quiet } : {}) }
  const differing = differences(await manifestOf(source), await manifestOf(second))
  if (differing.length > 0) throw new Error(`the folders differ:\n${differing.join('\n')}`)
}

function makeTree(root: string): void {
  for (let folder = 0; folder < FOLDERS; folder++) {
    const path = join(root, `folder-${folder}`)
    mkdirSync(path, { recursive: true })
    for (let file = 0; file < FILES / FOLDERS; file++)
      writeFileSync(join(path, `file-${file}.bin`), randomBytes(FILE_BYTES))
  }
}
