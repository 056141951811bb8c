import type { Clock, FileSystem, Ids } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Agent, AgentClient, AgentOptions, Pairing } from './api.ts'

export type {
  Agent,
  AgentClient,
  AgentOptions,
  AgentStateName,
  AgentStatus,
  Brake,
  ConflictItem,
  DryRun,
  Keep,
  MaxDelete,
  Pairing,
  PlanLine,
  ResolveResult,
  SyncEvent,
  SyncSummary,
  Unsynced,
  Waiting,
  WhyReport,
} from './api.ts'

/** The pairing of a folder, or null if it was never paired. Throws `Refused` when `.blobs/root.json` is there but cannot be used. */
export function readPairing(fs: FileSystem, folder: string): Pairing | null {
  void fs
  throw new BlobsError('NotSupported', `not built yet: ${folder}`)
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
  void to
  void ports
  throw new BlobsError('NotSupported', `not built yet: ${folder}`)
}

/** Takes the folder for this process. Throws `Refused`, naming the pid, when an agent has it already. */
export async function openAgent(options: AgentOptions): Promise<Agent> {
  throw new BlobsError('NotSupported', `not built yet: ${options.folder}`)
}

/** The agent that runs for this folder, or null if there is none. */
export async function askAgent(options: {
  readonly runtimeDirectory: string
  readonly rootId: string
}): Promise<AgentClient | null> {
  throw new BlobsError('NotSupported', `not built yet: ${options.rootId}`)
}
