import { join } from 'node:path'
import { makePrivate } from '../platform/directories.ts'
import type { Clock, FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type {
  Agent,
  AgentClient,
  AgentOptions,
  AgentStatus,
  ConflictItem,
  Invitation,
  Pairing,
  ResolveResult,
  SyncSummary,
  WhyReport,
} from './api.ts'
import { connectControl } from './control/client.ts'
import { socketPath, takeFolder, type Taken } from './control/lock.ts'
import type { Handler } from './control/server.ts'
import type { Hello } from './control/wire.ts'
import { openRoot, readMarker, writeMarker, type Root } from './disk/marker.ts'
import type { Selection } from './disk/selection.ts'
import { openDisk } from './disk/transition.ts'
import { watchFolder } from './disk/watch.ts'
import { openEngine } from './engine.ts'
import { openSession } from './session/session.ts'
import { noteDamage, openStateFile, type OpenedState } from './state/open.ts'
import { traitsOf } from './traits.ts'

export type { Selection } from './disk/selection.ts'
export type {
  Agent,
  AgentClient,
  AgentOptions,
  AgentStateName,
  AgentStatus,
  Brake,
  ConflictItem,
  DryRun,
  Invitation,
  Keep,
  MaxDelete,
  Pairing,
  PlanLine,
  ResolveResult,
  Suspension,
  SyncEvent,
  SyncSummary,
  Unsynced,
  Waiting,
  WhyReport,
} from './api.ts'

/** The pairing of a folder, or null if it was never paired. Throws `Refused` when `.blobs/root.json` is there but cannot be used. */
export function readPairing(fs: FileSystem, folder: string): Pairing | null {
  return readMarker(fs, folder)
}

/**
 * Pairs a folder with a bucket and writes it down durably. The same pairing again is a no-op; another one throws `Refused`.
 * The folder must exist.
 */
export async function pair(
  folder: string,
  to: { readonly location: string; readonly bucket: string; readonly prefix: string },
  ports: { readonly fs: FileSystem; readonly clock: Clock; readonly ids: Ids },
): Promise<Pairing> {
  const before = readMarker(ports.fs, folder)
  if (before !== null) {
    if (before.location === to.location && before.bucket === to.bucket && before.prefix === to.prefix) return before
    const name = before.prefix === '' ? before.bucket : `${before.bucket}/${before.prefix}`
    throw new BlobsError('Refused', `${folder} is paired with ${name} already`, {
      hint: `sync it as it is with blobs sync ${folder}, or remove ${join(folder, '.blobs', 'root.json')} to pair it anew, which deletes nothing`,
    })
  }
  const { location, bucket, prefix } = to
  const created = new Date(ports.clock.now()).toISOString()
  const pairing: Pairing = { format: 1, id: ports.ids.next(), location, bucket, prefix, created }
  await writeMarker(ports.fs, folder, pairing)
  return pairing
}

/**
 * Selects which folders of the bucket are on this machine; written down durably, and an agent that runs goes by it from its next look on.
 * Deletes nothing: what is not selected any more stays on the disk, and is left alone. Throws `NotFound` for a folder that is not paired.
 */
export async function select(fs: FileSystem, folder: string, selection: Selection): Promise<Pairing> {
  const before = readMarker(fs, folder)
  if (before === null) throw new BlobsError('NotFound', `${folder} is not paired with a bucket`)
  const { only: _only, not: _not, ...rest } = before
  const { only, not } = selection
  const pairing: Pairing = { ...rest, ...(only.length > 0 ? { only } : {}), ...(not.length > 0 ? { not } : {}) }
  if (JSON.stringify(pairing) !== JSON.stringify(before)) await writeMarker(fs, folder, pairing)
  return pairing
}

/**
 * Takes the folder for this process. Throws `Refused`, naming the pid, when an agent has it already. A folder that turns out to be a copy of
 * another synced folder gets an id of its own, which its marker tells from then on.
 */
export async function openAgent(options: AgentOptions): Promise<Agent> {
  const copy = await tryOpen(options, options.pairing)
  if ('agent' in copy) return copy.agent
  const pairing: Pairing = { ...options.pairing, id: options.ids.next() }
  await writeMarker(options.fs, options.folder, pairing)
  options.onEvent?.({ type: 'relinked', why: `it is a copy of ${copy.copyOf}` })
  const own = await tryOpen(options, pairing)
  if ('agent' in own) return own.agent
  throw new BlobsError('Refused', `${options.folder} has the id of ${own.copyOf} again`, {
    hint: 'is something restoring its .blobs folder?',
  })
}

type Opened = { readonly agent: Agent } | { readonly copyOf: string }

async function tryOpen(options: AgentOptions, pairing: Pairing): Promise<Opened> {
  const { fs, clock } = options
  const root = openRoot(fs, options.folder, pairing.id)
  const stateDirectory = makePrivate(join(options.stateDirectory, pairing.id))
  const hello: Hello = {
    pid: process.pid,
    folder: root.path,
    dev: String(root.dev),
    ino: String(root.ino),
    background: options.background === true,
  }
  let handle: Handler = async () => {
    throw new BlobsError('Unavailable', 'the agent is just starting', { hint: 'try again' })
  }
  const taken = await takeFolder({
    stateDirectory,
    socket: socketPath(makePrivate(options.runtimeDirectory), pairing.id),
    hello,
    handle: (method, params) => handle(method, params),
    clock,
  })
  if ('holder' in taken) return heldBy(taken.holder, root)
  try {
    const binding = { device: options.device.id, folder: root.path, root }
    const state = openStateFile(fs, stateDirectory, binding)
    if ('copyOf' in state) {
      await taken.close()
      return state
    }
    try {
      const agent = assemble(options, pairing, root, stateDirectory, state, taken)
      handle = handler(agent, options.invite)
      return { agent }
    } catch (error) {
      state.db.close()
      throw error
    }
  } catch (error) {
    await taken.close()
    throw error
  }
}

function heldBy(holder: Hello | null, root: Root): Opened {
  if (holder !== null && (holder.dev !== String(root.dev) || holder.ino !== String(root.ino)))
    return { copyOf: holder.folder }
  const who = holder === null ? 'another process' : `the agent with pid ${holder.pid}`
  throw new BlobsError('Refused', `${root.path} is synced by ${who} already`, { hint: adviceOn(holder, root.path) })
}

function adviceOn(holder: Hello | null, folder: string): string {
  if (holder === null) return 'try again in a moment'
  const end = holder.background === true ? `blobs agent stop ${folder}` : `kill ${holder.pid}`
  return `ask it with blobs status ${folder}, or end it with ${end}`
}

function assemble(
  options: AgentOptions,
  pairing: Pairing,
  root: Root,
  stateDirectory: string,
  { db, lost }: Exclude<OpenedState, { copyOf: string }>,
  taken: Taken,
): Agent {
  const { fs, clock, ids, device } = options
  const onEvent = options.onEvent ?? ((): void => undefined)
  if (lost !== null) onEvent({ type: 'relinked', why: lost })
  const session = openSession({
    fs,
    clock,
    ids,
    db,
    root,
    disk: openDisk({ fs, root, stateDirectory, device: device.name, clock, ids }),
    bucket: { store: options.store, prefix: pairing.prefix },
    device,
    traits: traitsOf(fs, root.path, process.platform),
    exclude: options.exclude ?? [],
    maxDelete: options.maxDelete ?? null,
    onEvent,
  })
  return openEngine({
    session,
    pid: process.pid,
    location: pairing.location,
    watchFolder,
    onDamage: () => noteDamage(fs, stateDirectory),
    release: async () => {
      db.close()
      await taken.close()
    },
  })
}

/** What others may ask over the control socket. */
function handler(agent: Agent, invite: AgentOptions['invite']): Handler {
  return async (method, params) => {
    const path = String(params['path'] ?? '')
    switch (method) {
      case 'status':
        return agent.status()
      case 'why':
        return agent.why(path)
      case 'wait':
        return agent.syncOnce()
      case 'approve':
        return agent.approve()
      case 'reject':
        return agent.reject()
      case 'conflicts':
        return agent.conflicts()
      case 'resolve': {
        const { keep } = params
        if (keep === 'mine' || keep === 'theirs' || keep === 'both') return agent.resolveConflict(path, keep)
        throw new BlobsError('InvalidRequest', `${JSON.stringify(keep)} is none of mine, theirs, both`)
      }
      case 'pause':
        return agent.pause(typeof params['until'] === 'number' ? params['until'] : null)
      case 'resume':
        return agent.resume()
      case 'invite':
        if (invite) return invite(Number(params['lasts']))
        throw new BlobsError('NotSupported', 'the agent that runs does not share this folder')
      default:
        throw new BlobsError('NotSupported', `the agent that runs does not know ${method}`, {
          hint: 'it may be of another version: restart it',
        })
    }
  }
}

/** The agent that runs for this folder, or null if there is none. */
export async function askAgent(options: {
  readonly runtimeDirectory: string
  readonly rootId: string
}): Promise<AgentClient | null> {
  const control = await connectControl(socketPath(options.runtimeDirectory, options.rootId))
  if (control === null) return null
  // The answers are made by this very program: the types on both sides are the same.
  const call = <T>(method: string, params?: Readonly<Record<string, unknown>>): Promise<T> =>
    control.call(method, params) as Promise<T>
  return {
    pid: control.hello.pid,
    status: () => call<AgentStatus>('status'),
    why: (path) => call<WhyReport>('why', { path }),
    wait: () => call<SyncSummary>('wait'),
    approve: () => call<{ count: number }>('approve'),
    reject: () => call<{ count: number }>('reject'),
    conflicts: () => call<readonly ConflictItem[]>('conflicts'),
    resolve: (path, keep) => call<ResolveResult>('resolve', { path, keep }),
    pause: (until) => call<void>('pause', { until }),
    resume: () => call<void>('resume'),
    invite: (lasts) => call<Invitation>('invite', { lasts }),
    close: () => control.close(),
  }
}
