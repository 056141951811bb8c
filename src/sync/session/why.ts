import { join } from 'node:path'
import type { WhyReport } from '../api.ts'
import { explain } from '../core/reasons.ts'
import { decide } from '../core/reconcile.ts'
import type { Content, Local, Path, Reason, Remote, Step } from '../core/types.ts'
import { IGNORE_FILE, type Cause } from '../disk/ignore.ts'
import { heldPath, isApproved } from '../state/held.ts'
import { rowAt, type PlanRow } from '../state/rows.ts'
import { clashing } from './clashes.ts'
import type { Session } from './session.ts'

/** Explains one path from the trees as they were last seen. */
export function why(session: Session, asked: Path): WhyReport {
  const { ports, observer } = session
  const row = rowAt(ports.db, ports.traits, asked) ?? rowAt(ports.db, ports.traits, `${asked}/`)
  const path = row?.path ?? asked
  const seen = look(session, asked)
  if (observer.ignores(path) || (seen.isFolder && observer.ignores(`${asked}/`))) {
    const cause = observer.ignore().cause(asked, path.endsWith('/') || seen.isFolder)
    return { ...report(path, row, ignoredVerdict(cause)), local: seen.there ? `${seen.text}, ignored` : seen.text }
  }
  if (row === null) return { ...report(path, null, unknownVerdict(seen)), local: seen.text }
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
  const judged = row.unfit === null && clashing(ports)(path) ? { ...row, unfit: 'name-clash' as const } : row
  return report(path, row, explainStep(session, path, decide(judged)))
}

type Verdict = Pick<WhyReport, 'decision' | 'reason' | 'next'>

interface Look {
  readonly text: string
  readonly there: boolean
  readonly isFolder: boolean
}

/** What stands at a path now: of what is ignored or new, nothing is written down. */
function look({ ports }: Session, path: Path): Look {
  try {
    const stat = ports.fs.lstat(join(ports.root.path, path))
    if (stat === null) return { text: 'not there', there: false, isFolder: false }
    if (stat.kind === 'folder') return { text: 'a folder', there: true, isFolder: true }
    return {
      text: stat.kind === 'file' ? `${stat.size} bytes` : 'neither file nor folder',
      there: true,
      isFolder: false,
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (typeof code !== 'string') throw error
    return { text: `cannot be judged (${code})`, there: false, isFolder: false }
  }
}

function unknownVerdict({ there, isFolder }: Look): Verdict {
  if (isFolder) {
    const decision = 'It is a folder: what is in it is synced path by path.'
    return { decision, reason: null, next: 'Ask about a path in it.' }
  }
  if (there) {
    const decision = 'It is there, and no sync has taken it in.'
    return { decision, reason: null, next: 'Run blobs sync, unless a sync leaves it out by --exclude.' }
  }
  return {
    decision: 'Nothing is known of it.',
    reason: null,
    next: 'If it is new in the bucket, run blobs sync; else check the spelling.',
  }
}

function ignoredVerdict(cause: Cause | null): Verdict {
  const decision = 'It is ignored: left alone on both sides.'
  if (cause === null) return { decision, reason: 'A rule ignores it.', next: `See ${IGNORE_FILE} and --exclude.` }
  if (cause === 'selection') {
    const reason = 'It is not among the folders that are selected on this machine.'
    return { decision, reason, next: 'To sync it, select it: blobs sync FOLDER --only DIR, or everything: --all.' }
  }
  if (cause === 'ours') return { decision, reason: 'It belongs to blobs itself.', next: 'Nothing to do.' }
  const { pattern, from } = cause
  if (from === null) {
    const reason = `--exclude ${pattern} ignores it.`
    return { decision, reason, next: 'To sync it, sync without that --exclude.' }
  }
  const file = from === '' ? IGNORE_FILE : `${from}/${IGNORE_FILE}`
  return {
    decision,
    reason: `The line ${pattern} of ${file} ignores it.`,
    next: `To sync it, take that line out of ${file}.`,
  }
}

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
