import type { WhyReport } from '../api.ts'
import { explain } from '../core/reasons.ts'
import { decide } from '../core/reconcile.ts'
import type { Content, Local, Path, Reason, Remote, Step } from '../core/types.ts'
import { heldPath, isApproved } from '../state/held.ts'
import { rowAt, type PlanRow } from '../state/rows.ts'
import { clashing } from './clashes.ts'
import type { Session } from './session.ts'

/** Explains one path from the trees as they were last seen. */
export function why(session: Session, asked: Path): WhyReport {
  const { ports, observer } = session
  const row = rowAt(ports.db, ports.traits, asked) ?? rowAt(ports.db, ports.traits, `${asked}/`)
  const path = row?.path ?? asked
  if (observer.ignores(path)) {
    return report(path, row, {
      decision: 'It is left alone on both sides.',
      reason: 'A rule ignores it.',
      next: 'Change the rule in .blobsignore (or --exclude) if it should be synced.',
    })
  }
  if (row === null) {
    return report(path, null, {
      decision: 'Nothing is known of it.',
      reason: null,
      next: 'If it was made just now, run blobs sync; else check the spelling.',
    })
  }
  const failure = session.failures.get(path)
  if (failure !== null) {
    const { reason, remedy } = explain(failure.reason, path)
    const decision = `It failed ${failure.tries === 1 ? 'once' : 'before'} and is tried again.`
    return report(path, row, {
      decision,
      reason: failure.message === '' ? reason : `${reason} (${failure.message})`,
      next: remedy,
    })
  }
  const seen = row.unfit === null && clashing(ports)(path) ? { ...row, unfit: 'name-clash' as const } : row
  return report(path, row, explainStep(session, path, decide(seen)))
}

type Verdict = Pick<WhyReport, 'decision' | 'reason' | 'next'>

function explainStep(session: Session, path: Path, step: Step | null): Verdict {
  if (step === null) return { decision: 'It is in sync.', reason: null, next: 'Nothing to do.' }
  if (step.type === 'skip') return skipVerdict(path, step.reason)
  if (step.type === 'delete-local' || step.type === 'delete-remote') {
    if (heldPath(session.ports.db, path) && !isApproved(session.ports.db, step))
      return skipVerdict(path, 'waiting-for-approval')
  }
  return {
    decision: DECISIONS[step.type],
    reason: null,
    next: 'The next sync does it: blobs sync, or the running agent.',
  }
}

function skipVerdict(path: Path, reason: Reason): Verdict {
  const explained = explain(reason, path)
  return { decision: 'It is left as it is on both sides.', reason: explained.reason, next: explained.remedy }
}

const DECISIONS: Readonly<Record<Exclude<Step['type'], 'skip'>, string>> = {
  record: 'Both sides agree; that is written down next.',
  upload: 'What is here goes to the bucket.',
  'delete-remote': 'It was deleted here and is deleted in the bucket.',
  download: "The bucket's version comes here.",
  'delete-local': 'It was deleted in the bucket and is deleted here (kept in .blobs/trash).',
  conflict: "Both sides changed it: the bucket's version takes the name, yours is kept beside it.",
}

function report(path: Path, row: PlanRow | null, verdict: Verdict): WhyReport {
  const base = row?.base ?? null
  return {
    path,
    base: base === null ? 'never in sync' : `version ${base.version}: ${describe(base)}`,
    local: describeLocal(row?.local ?? null),
    remote: describeRemote(row?.remote ?? null),
    ...verdict,
  }
}

function describe(content: Content): string {
  if (content.kind === 'folder') return 'an empty folder'
  return `${content.size} bytes, SHA-256 ${content.hash.slice(0, 12)}…${content.executable ? ', executable' : ''}`
}

function describeLocal(local: Local | null): string {
  if (local === null) return 'not there'
  return local.kind === 'unknown' ? `cannot be judged (${local.reason})` : describe(local)
}

function describeRemote(remote: Remote | null): string {
  if (remote === null) return 'not there'
  if (remote.kind === 'deleted') return `deleted (version ${remote.version})`
  return `version ${remote.version}: ${describe(remote)}`
}
