import { count, duration, grouped, localTime, plain, relativeTime, size, table } from '../format.ts'
import type {
  AgentStateName,
  AgentStatus,
  Brake,
  ConflictItem,
  PlanLine,
  ResolveResult,
  Suspension,
  SyncEvent,
  SyncSummary,
  Unsynced,
  Waiting,
  WhyReport,
} from '../../sync/agent.ts'

const WIDTH = 12

/** The line for something that happened to one path; null for what is no change of a path. */
export function eventLine(event: SyncEvent): string | null {
  const line = (word: string, text: string): string => `${word.padEnd(WIDTH)}${text}`
  switch (event.type) {
    case 'uploaded':
    case 'downloaded':
      return line(event.type, plain(event.path))
    case 'deleted-local':
      return line('deleted', `${plain(event.path)} (here; kept in .blobs/trash)`)
    case 'deleted-remote':
      return line('deleted', `${plain(event.path)} (in the bucket)`)
    case 'renamed':
      return line('renamed', `${plain(event.from)} → ${plain(event.path)}`)
    case 'mode':
      return line('mode', `${plain(event.path)} is ${event.executable ? 'executable' : 'not executable'} now`)
    case 'conflict':
      return line('conflict', `${plain(event.path)}: yours is kept as ${plain(lastSegment(event.sibling))}`)
    case 'resurrected':
      return line('kept', `${plain(event.path)} (deleted on one side, edited on the other: the edit stands)`)
    case 'skipped':
      return line('skipped', `${plain(event.path)} (${event.reason.replaceAll('-', ' ')}) → ${plain(event.remedy)}`)
    default:
      return null
  }
}

/** A message about the agent as a whole, or null. */
export function agentMessage(event: SyncEvent): string | null {
  switch (event.type) {
    case 'offline':
      return `offline: ${plain(event.message)}; trying again in ${Math.max(1, Math.round(event.retryIn / 1000))} s`
    case 'online':
      return 'online again'
    case 'relinked':
      return `linked anew, which deletes nothing: ${plain(event.why)}`
    case 'brake':
      return `waiting: ${brakeText(event)}; blobs status shows them`
    case 'state':
      return event.state === 'unauthenticated' ? 'waiting: the token is not accepted any more; give a new one' : null
    default:
      return null
  }
}

/** `1,204 files would be deleted in the bucket` */
export function brakeText(brake: Pick<Brake, 'side' | 'count'>): string {
  return `${count(brake.count, 'file')} would be deleted ${brake.side === 'local' ? 'here' : 'in the bucket'}`
}

/** What a sync did, in one line: `notes = team: 3 uploaded, 1 deleted · 42 files · 1.2 MB up · 0.4 s` */
export function summaryLine(pair: string, summary: SyncSummary, seconds: number): string {
  const parts = [
    `${pair}: ${deeds(summary)}`,
    `${count(summary.synced, 'path')} in sync`,
    summary.bytesUp > 0 ? `${size(summary.bytesUp)} up` : '',
    summary.bytesDown > 0 ? `${size(summary.bytesDown)} down` : '',
    duration(Math.max(0.1, seconds)),
  ]
  return parts.filter((part) => part !== '').join(' · ')
}

function deeds(summary: SyncSummary): string {
  const words: [number, string][] = [
    [summary.uploaded, 'uploaded'],
    [summary.downloaded, 'downloaded'],
    [summary.deletedLocal + summary.deletedRemote, 'deleted'],
    [summary.renamed, 'renamed'],
    [summary.modes, summary.modes === 1 ? 'mode changed' : 'modes changed'],
    [summary.conflicts, summary.conflicts === 1 ? 'conflict' : 'conflicts'],
    [summary.resurrected, 'kept'],
    [summary.skipped.length, 'not syncable (blobs status tells why)'],
    [summary.failed.length, 'failed'],
  ]
  if (summary.brake) words.push([summary.brake.count, 'waiting for your word'])
  const done = words.filter(([n]) => n > 0).map(([n, word]) => `${grouped(n)} ${word}`)
  return done.length === 0 ? 'nothing to do' : done.join(', ')
}

const PLAN_WORD: Readonly<Record<PlanLine['action'], string>> = {
  upload: 'upload',
  download: 'download',
  'delete-local': 'delete',
  'delete-remote': 'delete',
  rename: 'rename',
  mode: 'mode',
  conflict: 'conflict',
  skip: 'skip',
}

/** What a sync would do to one path. */
export function planLine(line: PlanLine): string {
  const where = line.action === 'delete-local' ? ' (here)' : line.action === 'delete-remote' ? ' (in the bucket)' : ''
  const path = line.from === undefined ? plain(line.path) : `${plain(line.from)} → ${plain(line.path)}`
  const bytes = line.size === undefined ? '' : ` (${size(line.size)})`
  const reason = line.reason === undefined ? '' : `: ${plain(line.reason)}`
  return `${PLAN_WORD[line.action].padEnd(WIDTH)}${path}${bytes}${where}${reason}`
}

const STATE_TEXT: Readonly<Record<AgentStateName, string>> = {
  starting: 'starting',
  scanning: 'looking at both sides',
  syncing: 'syncing',
  idle: 'in sync',
  waiting: 'waiting for you',
  offline: 'offline; it goes on by itself when the bucket can be reached',
  unauthenticated: 'the token is not accepted',
  suspended: 'suspended',
  paused: 'paused',
  stopped: 'no agent is running',
}

const SUSPENDED_TEXT: Readonly<Record<Suspension, string>> = {
  'root-missing': 'the folder is not there; it goes on when it is back',
  'root-unreadable': 'the folder cannot be read; it goes on when it can',
  'other-root': 'another folder is in its place; it goes on when its own is back',
  unauthenticated: 'the token is not accepted',
  forbidden: 'the token does not allow this',
  'bucket-gone': 'the bucket is not there any more',
  'other-bucket': 'another bucket has its name',
  'quota-exceeded': 'there is no room left for the bucket',
  'not-supported': 'the bucket needs a newer version of blobs',
}

/** One screen: state, what is pending, what waits for a person, what cannot be synced and what to do about it. */
export function statusText(status: AgentStatus, now: number, paths: number, selection: string | null = null): string {
  const rows: string[][] = [
    ['folder', plain(status.root)],
    ['bucket', plain(status.location)],
    ...(selection === null ? [] : [['selected', selection]]),
    ['state', stateText(status)],
    ['in sync', count(status.synced, 'path')],
  ]
  const { files, bytes } = status.pending
  if (files > 0) rows.push(['pending', `${count(files, 'file')}, ${size(bytes)}`])
  rows.push(['watching', watchText(status)])
  const verified = status.lastVerified
  rows.push(['verified', verified === null ? 'not yet' : relativeTime(Date.parse(verified), now)])
  const blocks = [table(rows, ['left', 'left']).join('\n')]
  if (status.waiting.length > 0) blocks.push(`waiting for you\n${status.waiting.map(waitingText).join('\n')}`)
  if (status.unsynced.length > 0) blocks.push(unsyncedText(status, paths))
  return blocks.join('\n\n')
}

/** The state in some words. */
export function stateText({ state, pending, unsynced, paused, suspended }: AgentStatus): string {
  if (state === 'suspended' && suspended !== null) return SUSPENDED_TEXT[suspended]
  if (state === 'paused') return pausedText(paused?.until ?? null)
  if (state !== 'idle') return STATE_TEXT[state]
  if (unsynced.length > 0) return `in sync but for ${count(unsynced.length, 'path')}`
  return pending.files === 0 ? STATE_TEXT.idle : 'not in sync yet; the next sync does what is pending'
}

/** `paused until 18:00; go on before: blobs resume` */
export function pausedText(until: string | null): string {
  return until === null
    ? 'paused; go on: blobs resume'
    : `paused until ${localTime(Date.parse(until))}; go on before: blobs resume`
}

function watchText({ watch }: AgentStatus): string {
  const mode = { off: 'no', events: 'yes', rescan: 'by looking at all of it from time to time' }[watch.mode]
  return watch.remedy === null ? mode : `${mode} → ${plain(watch.remedy)}`
}

/** `1 conflict, 12 deletes wait for your word`, or '' */
export function waitsText({ waiting }: Pick<AgentStatus, 'waiting'>): string {
  const conflicts = waiting.filter(({ type }) => type === 'conflict').length
  const deletes = waiting.reduce((sum, item) => sum + (item.type === 'approval' ? item.count : 0), 0)
  return [
    ...(conflicts === 0 ? [] : [count(conflicts, 'conflict')]),
    ...(deletes === 0 ? [] : [`${count(deletes, 'delete')} to approve`]),
  ].join(', ')
}

function waitingText(item: Waiting): string {
  const what =
    item.type === 'approval'
      ? `${brakeText(item)}: ${someOf(item.paths, item.count)}`
      : `${plain(item.path)} has ${count(item.siblings.length, 'conflict file')}`
  return `  ${what}\n  → ${plain(item.remedy)}`
}

function unsyncedText(status: AgentStatus, paths: number): string {
  const shown: readonly Unsynced[] = status.unsynced.slice(0, paths)
  const lines = shown.map((item) => `  ${plain(item.path)}: ${plain(item.reason)}\n  → ${plain(item.remedy)}`)
  const more = status.unsynced.length - shown.length
  return [
    'not in sync',
    ...lines,
    ...(more > 0 ? [`  and ${count(more, 'more path', 'more paths')} (--json lists all)`] : []),
  ].join('\n')
}

function someOf(paths: readonly string[], total: number): string {
  const shown = paths.slice(0, 3).map(plain).join(', ')
  return total > 3 ? `${shown} and ${grouped(total - 3)} more` : shown
}

/** What each side holds of one path, what was decided, and what to do. */
export function whyText(report: WhyReport): string {
  const rows = [
    ['here', plain(report.local)],
    ['in the bucket', plain(report.remote)],
    ['last agreed', plain(report.base)],
  ]
  const reason = report.reason === null ? [] : [plain(report.reason)]
  const next = report.next === '' ? [] : [`→ ${plain(report.next)}`]
  return [
    `${report.path === '' ? 'the synced folder' : plain(report.path)}: ${plain(report.decision)}`,
    ...table(rows, ['left', 'left']).map((row) => `  ${row}`),
    ...reason,
    ...next,
  ].join('\n')
}

/** A conflict: the name, and under it the files that hold the other edits. */
export function conflictText(item: ConflictItem, now: number): string {
  const rows = item.siblings.map((sibling) => [
    lastSegment(plain(sibling.path)),
    size(sibling.size),
    `from ${plain(sibling.device)}, ${relativeTime(Date.parse(sibling.time), now)}`,
  ])
  const gone = item.exists ? '' : ' (not there any more)'
  return [`${plain(item.path)}${gone}`, ...table(rows, ['left', 'right', 'left']).map((row) => `  ${row}`)].join('\n')
}

export function resolvedText(result: ResolveResult): string {
  const path = plain(result.path)
  if (result.keep === 'mine') return `${path} has your bytes now; what it had is in its history`
  if (result.keep === 'theirs')
    return `${path} stays as it is; ${plain(result.removed.map(lastSegment).join(', '))} went to .blobs/trash`
  return `${path} stays as it is; yours is an ordinary file now: ${plain(result.kept ?? '')}`
}

function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

/** A path that failed, for stderr. */
export function failureText(event: Extract<SyncEvent, { type: 'failed' }>): string {
  return `failed: ${plain(event.path)}: ${plain(event.message)}\n→ ${plain(event.remedy)}`
}
