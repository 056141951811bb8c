import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { sha256 } from '../../scripts/manifest.ts'
import type { Bench, Contender } from '../bench.ts'
import { GIB, makeFile, remove } from '../data.ts'
import { atMost, OURS } from '../figures.ts'
import { RCLONE_ENV, serveWebdav } from '../peers/rclone.ts'
import { system } from '../programs.ts'
import { serve, type Served } from '../server.ts'

const CP = 'cp and sync'
const WEBDAV_GET = 'rclone get, WebDAV'

/** One large file to a server and back. Each put is to an empty store. */
export async function measureLarge(bench: Bench): Promise<void> {
  const source = join(bench.place.folder, 'source.bin')
  makeFile(source, GIB)
  if (bench.wants('large.put')) await measurePut(bench, source)
  if (bench.wants('large.get')) await measureGet(bench, source)
}

/** With the promise that a put gives, that it is on the disk, and without. */
function copies(source: string, copy: string): Contender[] {
  const clean = { before: () => remove(copy), after: () => remove(copy) }
  const cp = (): Promise<void> => system('cp', ['--reflink=never', source, copy])
  return [
    { name: CP, needs: 'cp', ...clean, act: () => cp().then(() => system('sync', [copy])) },
    { name: 'cp', needs: 'cp', ...clean, act: cp },
  ]
}

async function measurePut(bench: Bench, source: string): Promise<void> {
  const copy = join(bench.place.folder, 'copy.bin')
  const repository = join(bench.place.folder, 'restic')
  const restic = {
    RESTIC_PASSWORD: 'bench',
    RESTIC_REPOSITORY: repository,
    RESTIC_CACHE_DIR: join(bench.place.folder, 'restic-cache'),
  }
  const dav = join(bench.place.folder, 'webdav')
  let webdav: Awaited<ReturnType<typeof serveWebdav>>
  let served: Served
  await bench.race({
    id: 'large.put',
    what: 'put of 1 GiB',
    contenders: [
      {
        name: OURS,
        before: async (run) => {
          served = await serve(bench, `server-${run}`)
          await served.client('client').must(['bucket', 'create', 'large'])
        },
        act: async () => void (await served.client('client').must(['put', source, 'large/file.bin', '--quiet'])),
        after: () => served.stop(),
      },
      ...copies(source, copy),
      {
        name: 'rclone put, WebDAV',
        needs: 'rclone',
        before: async () => {
          webdav = await serveWebdav(dav)
        },
        act: () => system('rclone', ['copyto', source, ':webdav:file.bin', ...webdav.flags], { env: RCLONE_ENV }),
        after: async () => {
          await webdav.stop()
          remove(dav)
        },
      },
      {
        name: 'restic backup',
        needs: 'restic',
        runs: 3,
        before: () => (remove(repository), system('restic', ['init'], { env: restic })),
        act: () => system('restic', ['backup', '--quiet', source], { env: restic }),
        after: () => remove(repository),
      },
    ],
    targets: [atMost(1.4, CP), atMost(1.4, 'cp')],
    notes: [
      '`cp and sync` gives what a put gives: the bytes are on the disk when it ends; `cp` alone leaves them in memory',
    ],
  })
}

async function measureGet(bench: Bench, source: string): Promise<void> {
  const copy = join(bench.place.folder, 'copy.bin')
  const clean = { before: () => remove(copy), after: () => remove(copy) }
  const dav = join(bench.place.folder, 'webdav')
  const served = await serve(bench, 'server-get')
  const client = served.client('client')
  await client.must(['bucket', 'create', 'large'])
  await client.must(['put', source, 'large/file.bin', '--quiet'])
  let webdav: Awaited<ReturnType<typeof serveWebdav>> | null = null
  await bench.race({
    id: 'large.get',
    what: 'get of 1 GiB',
    contenders: [
      {
        name: OURS,
        before: clean.before,
        act: async () => void (await client.must(['get', 'large/file.bin', copy, '--quiet'])),
        after: async (run) => {
          if (run === 0 && (await sha256(source)) !== (await sha256(copy))) throw new Error('other bytes came back')
          remove(copy)
        },
      },
      ...copies(source, copy),
      {
        name: WEBDAV_GET,
        needs: 'rclone',
        before: async () => {
          remove(copy)
          if (webdav !== null) return
          // Before the server starts, which remembers what it found.
          mkdirSync(dav, { recursive: true })
          await system('cp', [source, join(dav, 'file.bin')])
          webdav = await serveWebdav(dav)
        },
        act: () =>
          system('rclone', ['copyto', ':webdav:file.bin', copy, ...(webdav?.flags ?? [])], { env: RCLONE_ENV }),
        after: clean.after,
      },
    ],
    targets: [atMost(1.4, CP), atMost(1.2, WEBDAV_GET)],
    notes: ['a get verifies every chunk and syncs the file; of the others only `cp and sync` does the latter'],
  })
  await (webdav as Awaited<ReturnType<typeof serveWebdav>> | null)?.stop()
  await served.stop()
}
