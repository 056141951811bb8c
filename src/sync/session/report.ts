import type { Brake, SyncSummary, Unsynced, Waiting } from '../api.ts'
import { explain } from '../core/reasons.ts'
import type { Path, Reason } from '../core/types.ts'
import { heldDeletes } from '../state/held.ts'
import { parkedPaths } from '../state/parking.ts'
import { counts } from '../state/rows.ts'
import type { Session } from './session.ts'
import type { Tally } from './tally.ts'

/** Paths named one by one in a status: more would tell a person nothing, and a count does. */
const NAMED = 1000

function unsynced(path: Path, code: Reason, detail?: string): Unsynced {
  const { reason, remedy } = explain(code, path)
  return { path, code, reason: detail === undefined || detail === '' ? reason : `${reason} (${detail})`, remedy }
}

/** Paths that are left alone with a reason, up to a limit. */
export function skipped({ ports }: Session): readonly Unsynced[] {
  return parkedPaths(ports.db, NAMED).map(({ path, reason }) => unsynced(path, reason))
}

export function failed({ failures }: Session): readonly Unsynced[] {
  return failures
    .list()
    .slice(0, NAMED)
    .map(({ path, reason, message }) => unsynced(path, reason, message))
}

export function brakeOf({ ports }: Session): Brake | null {
  const [first] = heldDeletes(ports.db, NAMED)
  return first ?? null
}

export function waitingForApproval({ ports }: Session): readonly Waiting[] {
  return heldDeletes(ports.db, NAMED).map((held) => ({
    type: 'approval',
    ...held,
    remedy: 'blobs approve deletes them, blobs reject brings them back',
  }))
}

/** What was done since `before` was the tally, and how things are now. */
export function summary(session: Session, before: Tally): SyncSummary {
  const done = session.tally
  return {
    uploaded: done.uploaded - before.uploaded,
    downloaded: done.downloaded - before.downloaded,
    deletedLocal: done.deletedLocal - before.deletedLocal,
    deletedRemote: done.deletedRemote - before.deletedRemote,
    renamed: done.renamed - before.renamed,
    modes: done.modes - before.modes,
    conflicts: done.conflicts - before.conflicts,
    resurrected: done.resurrected - before.resurrected,
    bytesUp: done.bytesUp - before.bytesUp,
    bytesDown: done.bytesDown - before.bytesDown,
    synced: counts(session.ports.db).synced,
    skipped: skipped(session),
    failed: failed(session),
    brake: brakeOf(session),
  }
}
