import type { BlobStore } from '../store/contract/blob-store.ts'
import type { Clock, FileSystem, Ids } from '../platform/ports.ts'
import type { Suspension } from './core/agent-state.ts'
import type { Path, Reason } from './core/types.ts'

/** What a folder remembers of its pairing: `FOLDER/.blobs/root.json`. */
export interface Pairing {
  readonly format: 1
  /** Random id of this synced folder, 32 hex digits. */
  readonly id: string
  /** URL of the place that holds the bucket; '' for the embedded store. */
  readonly location: string
  readonly bucket: string
  /** Keys below `prefix/` belong to the folder; '' for the whole bucket. Never ends with `/`. */
  readonly prefix: string
  /** RFC 3339. */
  readonly created: string
  /** Folders that are on this machine, as paths; absent: all. */
  readonly only?: readonly Path[]
  /** Folders that are not. */
  readonly not?: readonly Path[]
}

export interface AgentOptions {
  /** Absolute path of the folder. */
  readonly folder: string
  readonly pairing: Pairing
  /** The bucket; stays the caller's to close. */
  readonly store: BlobStore
  readonly fs: FileSystem
  readonly clock: Clock
  readonly ids: Ids
  readonly device: { readonly id: string; readonly name: string }
  /** Holds a folder of state for each synced folder (`$XDG_STATE_HOME/blobs`). */
  readonly stateDirectory: string
  /** Holds the control sockets. */
  readonly runtimeDirectory: string
  /** More ignore patterns, of this machine alone. */
  readonly exclude?: readonly string[]
  /** The brake: at most so many deletions on one side without a yes. Absent: the default of core/safety. */
  readonly maxDelete?: MaxDelete
  /** Called synchronously with what happened; must not throw. */
  readonly onEvent?: (event: SyncEvent) => void
  /** It is the background agent's: who wants the folder is told so. */
  readonly background?: boolean
  /** Where the folder is shared by the same process: makes a link for one more machine, good for so many milliseconds. */
  readonly invite?: (lasts: number) => Promise<Invitation>
}
/** What lets one more machine join a shared folder. */
export interface Invitation {
  readonly link: string
  /** RFC 3339. */
  readonly expires: string
}
export type MaxDelete = { readonly count: number } | { readonly percent: number }

/** One folder kept the same as one bucket. Methods may be called at any time; cycles never overlap. */
export interface Agent {
  readonly pid: number
  /** Makes both sides the same as far as they can be, then resolves. Aborting finishes the step in hand. Throws when the bucket cannot be reached at all. */
  syncOnce(signal?: AbortSignal): Promise<SyncSummary>
  /** Keeps both sides the same until the signal aborts; offline times are waited out. */
  watch(signal: AbortSignal): Promise<SyncSummary>
  status(): AgentStatus
  why(path: Path): Promise<WhyReport>
  conflicts(): Promise<readonly ConflictItem[]>
  /** `path` is the original or one of its siblings. Throws `NotFound` when it has no conflict, `Refused` when a sibling must be named. */
  resolveConflict(path: Path, keep: Keep): Promise<ResolveResult>
  /** Lets the deletes that wait go on: exactly that set. */
  approve(): Promise<{ readonly count: number }>
  /** Gives the deletes that wait up: the paths come back from the other side. */
  reject(): Promise<{ readonly count: number }>
  /** Does nothing by itself until a time (milliseconds since 1970; null: until `resume`), whoever runs it meanwhile. */
  pause(until: number | null): Promise<void>
  /** Ends a pause. */
  resume(): Promise<void>
  /** What a sync would do now; nothing is written on either side. */
  dryRun(signal?: AbortSignal): Promise<DryRun>
  close(): Promise<void>
}
export type Keep = 'mine' | 'theirs' | 'both'

/** A running agent, seen from another process over its control socket. */
export interface AgentClient {
  readonly pid: number
  status(): Promise<AgentStatus>
  why(path: Path): Promise<WhyReport>
  /** Resolves when everything that was finished on either side before the call is in sync. */
  wait(): Promise<SyncSummary>
  approve(): Promise<{ readonly count: number }>
  reject(): Promise<{ readonly count: number }>
  conflicts(): Promise<readonly ConflictItem[]>
  resolve(path: Path, keep: Keep): Promise<ResolveResult>
  pause(until: number | null): Promise<void>
  resume(): Promise<void>
  /** Throws `NotSupported` when the agent does not share the folder. */
  invite(lasts: number): Promise<Invitation>
  close(): Promise<void>
}

/** Something that happened, in the order it happened. */
export type SyncEvent =
  | { readonly type: 'uploaded'; readonly path: Path; readonly version: number; readonly size: number }
  | { readonly type: 'downloaded'; readonly path: Path; readonly version: number; readonly size: number }
  | { readonly type: 'deleted-local' | 'deleted-remote'; readonly path: Path }
  /** A move seen on one side was repeated on the other without moving bytes. */
  | { readonly type: 'renamed'; readonly path: Path; readonly from: Path }
  /** Only the executable bit changed. */
  | { readonly type: 'mode'; readonly path: Path; readonly executable: boolean }
  /** Both sides had changed; the local bytes are at `sibling` now. */
  | { readonly type: 'conflict'; readonly path: Path; readonly sibling: Path }
  /** Deleted on one side, edited on the other: the edit stands. */
  | { readonly type: 'resurrected'; readonly path: Path }
  | { readonly type: 'skipped'; readonly path: Path; readonly reason: Reason; readonly remedy: string }
  | {
      readonly type: 'failed'
      readonly path: Path
      readonly reason: Reason
      readonly message: string
      readonly remedy: string
    }
  | { readonly type: 'brake'; readonly side: 'local' | 'remote'; readonly count: number }
  | { readonly type: 'offline'; readonly message: string; readonly retryIn: number }
  | { readonly type: 'online' }
  /** The old trees could not be used; the folder is linked anew, which deletes nothing. */
  | { readonly type: 'relinked'; readonly why: string }
  | {
      readonly type: 'progress'
      readonly files: number
      readonly totalFiles: number
      readonly bytes: number
      readonly totalBytes: number
    }
  | { readonly type: 'state'; readonly state: AgentStateName }

/** What the agent is doing, in one word. */
export type AgentStateName =
  | 'starting'
  | 'scanning'
  | 'syncing'
  | 'idle'
  | 'waiting'
  | 'offline'
  | 'unauthenticated'
  | 'suspended'
  | 'paused'
  | 'stopped'

export interface SyncSummary {
  readonly uploaded: number
  readonly downloaded: number
  readonly deletedLocal: number
  readonly deletedRemote: number
  readonly renamed: number
  readonly modes: number
  readonly conflicts: number
  readonly resurrected: number
  /** Bytes of content sent to and fetched from the bucket. */
  readonly bytesUp: number
  readonly bytesDown: number
  /** Paths in sync now. */
  readonly synced: number
  /** Paths that cannot be synced, by nature (a symlink) or until someone acts; not a failure. */
  readonly skipped: readonly Unsynced[]
  /** Paths that failed. */
  readonly failed: readonly Unsynced[]
  /** Deletes held back by the brake, or null. */
  readonly brake: Brake | null
}
export interface Brake {
  readonly side: 'local' | 'remote'
  readonly count: number
  readonly paths: readonly Path[]
}

export type { Suspension }

export interface AgentStatus {
  readonly state: AgentStateName
  /** What has to change before it goes on; null unless it is `suspended` or `unauthenticated`. */
  readonly suspended: Suspension | null
  /** Until when nothing is done by itself, RFC 3339 (`until` null: until someone resumes it); null when it is not paused. */
  readonly paused: { readonly until: string | null } | null
  readonly root: string
  readonly location: string
  /** Paths in sync. */
  readonly synced: number
  readonly pending: { readonly files: number; readonly bytes: number }
  /** What waits for a person. */
  readonly waiting: readonly Waiting[]
  readonly unsynced: readonly Unsynced[]
  readonly watch: { readonly mode: 'off' | 'events' | 'rescan'; readonly remedy: string | null }
  /** When a full look at both sides last found them in sync, RFC 3339; null: not yet. */
  readonly lastVerified: string | null
}
export interface Unsynced {
  readonly path: Path
  readonly code: Reason
  readonly reason: string
  readonly remedy: string
}
export type Waiting =
  | {
      readonly type: 'approval'
      readonly side: 'local' | 'remote'
      readonly count: number
      readonly paths: readonly Path[]
      readonly remedy: string
    }
  | { readonly type: 'conflict'; readonly path: Path; readonly siblings: readonly Path[]; readonly remedy: string }

/** Why one path is as it is: what each of the three trees holds, what is decided, and what to do. */
export interface WhyReport {
  readonly path: Path
  readonly base: string
  readonly local: string
  readonly remote: string
  /** One sentence. */
  readonly decision: string
  readonly reason: string | null
  readonly next: string
}

export interface ConflictItem {
  readonly path: Path
  /** False: the original is not there any more. */
  readonly exists: boolean
  readonly siblings: readonly {
    readonly path: Path
    readonly device: string
    readonly time: string
    readonly size: number
  }[]
}
export interface ResolveResult {
  readonly path: Path
  readonly keep: Keep
  /** Siblings that are gone now, and the plain name one was kept under (`both`). */
  readonly removed: readonly Path[]
  readonly kept: Path | null
}

export interface DryRun {
  readonly lines: readonly PlanLine[]
  readonly brake: Brake | null
}
export interface PlanLine {
  readonly action: 'upload' | 'download' | 'delete-local' | 'delete-remote' | 'rename' | 'mode' | 'conflict' | 'skip'
  readonly path: Path
  readonly from?: Path
  readonly size?: number
  readonly reason?: string
}
