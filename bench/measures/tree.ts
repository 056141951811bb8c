import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Running } from '../../scripts/harness.ts'
import { differences, manifestOf } from '../../scripts/manifest.ts'
import type { Bench, Contender } from '../bench.ts'
import { countFiles, makeTree, remove } from '../data.ts'
import { atMost, OURS } from '../figures.ts'
import { RCLONE_ENV } from '../peers/rclone.ts'
import { openSyncthing, type SyncthingPair } from '../peers/syncthing.ts'
import { unison } from '../peers/unison.ts'
import { system, until } from '../programs.ts'
import { serve, type Served } from '../server.ts'

const FILES = 10_000
const FILE_BYTES = 4096
const LABEL = '10,000 × 4 KiB'

/** A folder of many small files to a server, and on to a second folder. Every run begins with an empty store. */
export async function measureTree(bench: Bench): Promise<void> {
  const source = join(bench.place.folder, 'source')
  makeTree(source, FILES, FILE_BYTES)
  if (bench.wants('tree.up')) await measureUp(bench, source)
  if (bench.wants('tree.down')) await measureDown(bench, source)
  if (bench.wants('tree.both')) await measureBoth(bench, source)
}

function measureUp(bench: Bench, source: string): Promise<void> {
  return bench.race({
    id: 'tree.up',
    what: `first sync of ${LABEL}, folder → server`,
    contenders: [up(bench, source), ...peersUp(bench, source)],
    targets: [atMost(1.3, 'rsync -a')],
    notes: [
      'of the others only `rsync --fsync` (and restic, for its packs) has the bytes on the disk when it ends',
      'rclone over WebDAV paces its calls to some 23 ms a file, and is left out: minutes for this tree',
    ],
  })
}

function up(bench: Bench, source: string): Contender {
  let served: Served
  return {
    name: OURS,
    before: async (run) => {
      remove(join(source, '.blobs'))
      served = await serve(bench, `server-${run}`)
    },
    act: async (run) =>
      void (await served.client(`up-${run}`).must(['sync', source, `${served.server.url}/tree`, '--quiet'])),
    after: async () => {
      await served.stop()
      remove(join(source, '.blobs'))
    },
  }
}

function peersUp({ place }: Bench, source: string): Contender[] {
  const copy = join(place.folder, 'copy')
  const fresh = { before: () => remove(copy), after: () => remove(copy) }
  const restic = { RESTIC_PASSWORD: 'bench', RESTIC_REPOSITORY: copy, RESTIC_CACHE_DIR: join(place.folder, 'restic') }
  return [
    { name: 'cp -a', needs: 'cp', ...fresh, act: () => system('cp', ['-a', source, copy]) },
    ...rsyncs(source, copy, fresh),
    {
      name: 'restic backup',
      needs: 'restic',
      after: fresh.after,
      before: async () => {
        remove(copy)
        await system('restic', ['init'], { env: restic })
      },
      act: () => system('restic', ['backup', '--quiet', source], { env: restic }),
    },
    {
      name: 'Unison',
      needs: 'unison',
      runs: 3,
      before: () => (remove(copy), remove(join(place.folder, 'unison'))),
      after: fresh.after,
      act: () => unison(place.folder, source, copy),
    },
    {
      name: 'rclone copy, local',
      needs: 'rclone',
      ...fresh,
      act: () => system('rclone', ['copy', source, copy], { env: RCLONE_ENV }),
    },
  ]
}

/** As it is, and with the promise that a sync of ours gives. */
function rsyncs(source: string, copy: string, around: Pick<Contender, 'before' | 'after'>): Contender[] {
  return [
    { name: 'rsync -a', needs: 'rsync', ...around, act: () => system('rsync', ['-a', `${source}/`, copy]) },
    {
      name: 'rsync -a --fsync',
      needs: 'rsync',
      runs: 3,
      ...around,
      act: () => system('rsync', ['-a', '--fsync', `${source}/`, copy]),
    },
  ]
}

async function measureDown(bench: Bench, source: string): Promise<void> {
  const served = await serve(bench, 'server-down')
  const url = `${served.server.url}/tree`
  remove(join(source, '.blobs'))
  await served.client('up-99').must(['sync', source, url, '--quiet'])
  remove(join(source, '.blobs'))
  const copy = join(bench.place.folder, 'copy')
  const fresh = { before: () => remove(copy), after: () => remove(copy) }
  await bench.race({
    id: 'tree.down',
    what: `first sync of ${LABEL}, server → empty folder`,
    contenders: [
      {
        name: OURS,
        before: fresh.before,
        act: async (run) => void (await served.client(`down-${run}`).must(['sync', copy, url, '--quiet'])),
        after: async (run) => {
          if (run === 0) await check(source, copy)
          remove(copy)
        },
      },
      ...rsyncs(source, copy, fresh),
    ],
  })
  await served.stop()
}

/** All of it in place: one move brings the tree into a folder that is watched, and it is over when the other folder has every file. */
async function measureBoth(bench: Bench, source: string): Promise<void> {
  const hand = join(bench.place.folder, 'hand')
  const agents = 'blobs, two agents'
  const commands = 'blobs, one command after the other'
  await bench.race({
    id: 'tree.both',
    what: `${LABEL}, folder → server → second folder`,
    contenders: [
      throughAgents(bench, agents, source, hand),
      oneAfterTheOther(bench, commands, source),
      throughSyncthing(bench, 'Syncthing', source, hand),
    ],
    targets: [atMost(0.35, 'Syncthing', agents), atMost(0.35, 'Syncthing', commands)],
    runs: 3,
    notes: [
      'agents and Syncthing (at its fastest setting: its watcher waits 1 s, the least it knows, and it is told to look at once) run already, and the tree is moved into the first folder',
    ],
  })
}

function throughAgents(bench: Bench, name: string, source: string, hand: string): Contender {
  let served: Served
  let folders: readonly string[] = []
  let agents: Running[] = []
  return {
    name,
    before: async (run) => {
      agents = []
      remove(join(source, '.blobs'))
      await copyTree(source, hand)
      served = await serve(bench, `both-server-${run}`)
      folders = ['one', 'two'].map((side) => {
        const machine = served.client(`both-${side}-${run}`)
        const folder = join(machine.home, 'folder')
        mkdirSync(folder)
        agents.push(machine.start(['sync', folder, `${served.server.url}/tree`, '--watch', '--quiet']))
        return folder
      })
      await warmUp(folders)
    },
    act: async () => void (await arrives(hand, folders)),
    after: async (run) => {
      if (run === 0) await check(...(folders as [string, string]))
      await Promise.all(agents.map((agent) => agent.stop()))
      await served.stop()
      for (const folder of folders) remove(folder)
    },
  }
}

function oneAfterTheOther(bench: Bench, name: string, source: string): Contender {
  const copy = join(bench.place.folder, 'copy')
  let served: Served
  return {
    name,
    before: async (run) => {
      remove(join(source, '.blobs'))
      remove(copy)
      served = await serve(bench, `then-server-${run}`)
    },
    act: async (run) => {
      const url = `${served.server.url}/tree`
      await served.client(`then-one-${run}`).must(['sync', source, url, '--quiet'])
      await served.client(`then-two-${run}`).must(['sync', copy, url, '--quiet'])
    },
    after: async () => {
      await served.stop()
      remove(copy)
      remove(join(source, '.blobs'))
    },
  }
}

function throughSyncthing(bench: Bench, name: string, source: string, hand: string): Contender {
  let pair: SyncthingPair
  return {
    name,
    needs: 'syncthing',
    before: async (run) => {
      await copyTree(source, hand)
      pair = await openSyncthing(join(bench.place.folder, `syncthing-${run}`))
      await warmUp([pair.from, pair.to], () => pair.rescan())
    },
    act: async () => {
      const arrived = arrives(hand, [pair.from, pair.to])
      await pair.rescan()
      await arrived
    },
    after: () => pair.stop(),
  }
}

async function copyTree(source: string, hand: string): Promise<void> {
  remove(hand)
  await system('cp', ['-a', source, hand])
}

/** A first file has come through: both sides watch. */
export async function warmUp(
  folders: readonly string[],
  nudge: () => void | Promise<void> = () => undefined,
): Promise<void> {
  const [from = '', to = ''] = folders
  mkdirSync(join(from, 'folder-warm'), { recursive: true })
  writeFileSync(join(from, 'folder-warm', 'file-warm'), 'warm')
  await nudge()
  await until('the first file is on the other side', () => countFiles(to) > 0)
}

async function arrives(hand: string, folders: readonly string[]): Promise<void> {
  const [from = '', to = ''] = folders
  renameSync(hand, join(from, 'tree'))
  await until('all files are on the other side', () => countFiles(join(to, 'tree')) === FILES)
}

async function check(a: string, b: string): Promise<void> {
  const differing = differences(await manifestOf(a), await manifestOf(b))
  if (differing.length > 0) throw new Error(`the folders differ:\n${differing.join('\n')}`)
}
