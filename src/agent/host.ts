import type { Clock } from '../platform/ports.ts'
import type { SyncEvent } from '../sync/agent.ts'
import { openKeeper, type FolderReport, type Keeper, type KeeperOptions } from './keeper.ts'
import type { AgentLog } from './log.ts'
import type { Notifier } from './notify.ts'
import type { KeptFolder, Registry } from './registry.ts'

/** Many folders in one process. */
export interface Host {
  reports(): readonly FolderReport[]
  /** Begins with what is new, ends what is gone; what was said anew of a folder starts it anew. */
  follow(registry: Registry): Promise<void>
  close(): Promise<void>
}
export interface HostOptions {
  readonly open: KeeperOptions['open']
  readonly clock: Clock
  readonly log: AgentLog
  readonly notifier: Notifier | null
  readonly onEvent: (folder: string, event: SyncEvent) => void
}

export function openHost({ open, clock, log, notifier, onEvent }: HostOptions): Host {
  const keepers = new Map<string, { readonly said: string; readonly keeper: Keeper }>()
  let notify = true
  const begin = (kept: KeptFolder): Keeper =>
    openKeeper({
      kept,
      open,
      clock,
      log,
      onEvent: (event) => {
        logEvent(log, kept.folder, event)
        onEvent(kept.folder, event)
        if (notify) notifier?.event(kept.folder, event)
      },
    })
  const end = async (folder: string): Promise<void> => {
    const held = keepers.get(folder)
    keepers.delete(folder)
    await held?.keeper.stop()
    log.write('left', { folder })
  }
  return {
    reports: () => [...keepers.values()].map(({ keeper }) => keeper.report()),
    follow: async (registry) => {
      notify = registry.notify
      const wanted = new Map(registry.folders.map((kept) => [kept.folder, JSON.stringify(kept)]))
      const gone = [...keepers].filter(([folder, { said }]) => wanted.get(folder) !== said)
      await Promise.all(gone.map(([folder]) => end(folder)))
      for (const kept of registry.folders) {
        if (keepers.has(kept.folder)) continue
        log.write('took', { folder: kept.folder })
        keepers.set(kept.folder, { said: wanted.get(kept.folder) ?? '', keeper: begin(kept) })
      }
    },
    close: async () => {
      await Promise.all([...keepers.keys()].map(end))
    },
  }
}

/** Progress is for who looks on; of the states, those that come and go with each file say nothing. */
function logEvent(log: AgentLog, folder: string, event: SyncEvent): void {
  if (event.type === 'progress') return
  if (event.type === 'state' && ['starting', 'scanning', 'syncing', 'idle'].includes(event.state)) return
  const { type, ...fields } = event
  log.write(type, { folder, ...fields })
}
