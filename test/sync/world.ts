import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { openMemory } from '../../src/backends/memory/memory.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import type { Clock, FileSystem } from '../../src/platform/ports.ts'
import { systemClock, systemIds } from '../../src/platform/system.ts'
import { openBuckets } from '../../src/store/buckets.ts'
import type { BlobStore, Buckets } from '../../src/store/contract/blob-store.ts'
import {
  openAgent,
  pair,
  readPairing,
  type Agent,
  type AgentOptions,
  type SyncEvent,
  type SyncSummary,
} from '../../src/sync/agent.ts'

/** A bucket in memory and folders that are synced with it. */
export interface World {
  readonly directory: string
  readonly buckets: Buckets
  readonly store: BlobStore
  /** Makes a folder, pairs it and gives what works in it. */
  folder(name: string, settings?: FolderSettings): Promise<Folder>
  close(): Promise<void>
}
export interface FolderSettings {
  readonly prefix?: string
  readonly wrap?: (store: BlobStore) => BlobStore
  readonly fs?: FileSystem
  readonly maxDelete?: AgentOptions['maxDelete']
  readonly exclude?: readonly string[]
  /** Where the folder is; beside the others unless given. */
  readonly root?: string
}

/** One device with one folder. */
export interface Folder {
  readonly root: string
  readonly state: string
  readonly events: SyncEvent[]
  /** Opens an agent, syncs once and closes it. */
  sync(settings?: FolderSettings): Promise<SyncSummary>
  open(settings?: FolderSettings): Promise<Agent>
  /** Opens an agent for as long as `act` takes. */
  with<T>(act: (agent: Agent) => Promise<T>, settings?: FolderSettings): Promise<T>
  write(path: string, text: string | Uint8Array): void
  read(path: string): string | null
  remove(path: string): void
  mkdir(path: string): void
  chmod(path: string, mode: number): void
  /** All that is there but `.blobs`: text by path, `null` for an empty folder, a trailing `*` for an executable file. */
  tree(): Record<string, string | null>
}

/** Waits go by fifty times as fast: what is tested with it is order, not time. */
export const hastyClock: Clock = {
  now: systemClock.now,
  elapsed: () => systemClock.elapsed() * 50,
  sleep: (milliseconds, signal) => systemClock.sleep(milliseconds / 50, signal),
}

export async function openWorld(clock: Clock = hastyClock): Promise<World> {
  const directory = mkdtempSync(join(tmpdir(), 'sync-'))
  const buckets = openBuckets({ backend: openMemory(), clock: systemClock, ids: systemIds })
  await buckets.create('team')
  const store = await buckets.open('team')
  const agents = new Set<Agent>()
  return {
    directory,
    buckets,
    store,
    folder: async (name, settings = {}) => openFolder({ directory, store, agents, clock }, name, settings),
    close: async () => {
      for (const agent of agents) await agent.close()
      await store.close()
      await buckets.close()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function openFolder(
  world: { directory: string; store: BlobStore; agents: Set<Agent>; clock: Clock },
  name: string,
  defaults: FolderSettings,
): Promise<Folder> {
  const fs = systemFileSystem()
  const root = defaults.root ?? join(world.directory, name)
  const state = join(world.directory, `${name}-state`)
  mkdirSync(root)
  await pair(
    root,
    { location: '', bucket: 'team', prefix: defaults.prefix ?? '' },
    { fs, clock: systemClock, ids: systemIds },
  )
  const events: SyncEvent[] = []
  const open = async (given: FolderSettings = {}): Promise<Agent> => {
    const settings = { ...defaults, ...given }
    const pairing = readPairing(fs, root)
    if (pairing === null) throw new Error(`${root} is not paired`)
    const agent = await openAgent({
      folder: root,
      pairing,
      store: settings.wrap?.(world.store) ?? world.store,
      fs: settings.fs ?? fs,
      clock: world.clock,
      ids: systemIds,
      device: { id: name.padEnd(32, '0'), name },
      stateDirectory: state,
      runtimeDirectory: join(world.directory, 'run'),
      onEvent: (event) => events.push(event),
      ...(settings.maxDelete === undefined ? {} : { maxDelete: settings.maxDelete }),
      ...(settings.exclude === undefined ? {} : { exclude: settings.exclude }),
    })
    world.agents.add(agent)
    return {
      ...agent,
      close: async () => {
        if (world.agents.delete(agent)) await agent.close()
      },
    }
  }
  const using = async <T>(act: (agent: Agent) => Promise<T>, settings?: FolderSettings): Promise<T> => {
    const agent = await open(settings)
    try {
      return await act(agent)
    } finally {
      await agent.close()
    }
  }
  const at = (path: string): string => join(root, path)
  return {
    root,
    state,
    events,
    open,
    with: using,
    sync: (settings) => using((agent) => agent.syncOnce(), settings),
    write: (path, text) => {
      mkdirSync(dirname(at(path)), { recursive: true })
      writeFileSync(at(path), text)
    },
    read: (path) => (existsSync(at(path)) ? readFileSync(at(path), 'utf8') : null),
    remove: (path) => rmSync(at(path), { recursive: true }),
    mkdir: (path) => void mkdirSync(at(path), { recursive: true }),
    chmod: (path, mode) => chmodSync(at(path), mode),
    tree: () => {
      const tree: Record<string, string | null> = {}
      walk(root, '', tree)
      return tree
    },
  }
}

function walk(root: string, folder: string, tree: Record<string, string | null>): void {
  const names = readdirSync(join(root, folder)).filter((name) => folder !== '' || name !== '.blobs')
  if (names.length === 0 && folder !== '') tree[`${folder}/`] = null
  for (const name of names.sort()) {
    const path = folder === '' ? name : `${folder}/${name}`
    const stat = lstatSync(join(root, path))
    if (stat.isDirectory()) walk(root, path, tree)
    else if (stat.isSymbolicLink()) tree[path] = `-> ${readlinkSync(join(root, path))}`
    else tree[(stat.mode & 0o100) === 0 ? path : `${path}*`] = readFileSync(join(root, path), 'utf8')
  }
}

/** Syncs both folders by turns until neither has anything to do; throws if they never come to rest. */
export async function settle(...folders: Folder[]): Promise<void> {
  for (let turn = 0; turn < 6; turn++) {
    let changes = 0
    for (const folder of folders) changes += changed(await folder.sync())
    if (changes === 0) return
  }
  throw new Error('the folders do not come to rest')
}

export function changed(summary: SyncSummary): number {
  const { uploaded, downloaded, deletedLocal, deletedRemote, renamed, modes, conflicts, resurrected } = summary
  return uploaded + downloaded + deletedLocal + deletedRemote + renamed + modes + conflicts + resurrected
}
