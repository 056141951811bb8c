import type { Base, Content, Expectation, Local, Path, Reason, Remote, Row, Step } from './types.ts'

type Live = Content & { readonly version: number }
type Tombstone = Extract<Remote, { kind: 'deleted' }>
/** A row whose local side is known and whose kinds suit its path. */
type Known = Omit<Row, 'local'> & { readonly local: Content | null }

/**
 * What one path needs, from what both sides last agreed on and what each holds now. Null: in sync, and written down so.
 * Total: every combination has an answer, and one that makes no sense is skipped, never acted on.
 *
 * - A deletion needs proof: a base that the bucket's present follows from, and absence on one side while the other is unchanged.
 * - Equal content is agreement, however it came about; contents are equal when bytes and executable bit are.
 * - A file whose name a folder needs makes way. Its base is forgotten (`record` null) in a round of its own, and the key is
 *   listed as `file-and-folder` from the next round on: with a base, its absence on disk would read as the user's deletion.
 */
export function decide(row: Row): Step | null {
  const { path, local, remote, unfit } = row
  if (local?.kind === 'unknown') return skip(path, local.reason)
  const live = isLive(remote)
  if (unfit !== null && (local !== null || live)) return skip(path, unfit)
  if (!suits(path, local) || (live && !suits(path, remote))) return skip(path, 'file-and-folder')
  const known: Known = { ...row, local }
  if (isMarker(path)) return decideMarker(known)
  if (row.remoteBelow) return makeWay(known)
  if (local !== null) return presentHere(known, local)
  return row.localFolder ? replacedByFolder(known) : absentHere(known)
}

/**
 * True if this row's path will be on disk after the plan, so that every name above it must be a folder: the bucket has it, this
 * disk can hold it, and it was not deleted here. A row's `remoteBelow` is: some other row below it says so.
 */
export function needsFolder(row: Pick<Row, 'base' | 'local' | 'remote' | 'unfit'>): boolean {
  return isLive(row.remote) && row.unfit === null && !(row.local === null && unchangedSinceBase(row))
}

/**
 * Worth asking the bucket's history whether the bytes on disk are one of the key's versions after this one: then `localIsOldVersion`
 * changes what `decide` says. Null: it would not. With a base only what came after it counts: those bytes were fetched, and that was not
 * written down; going back to what was before it is an edit.
 */
export function historyAfter(row: Pick<Row, 'base' | 'local' | 'remote' | 'remoteBelow'>): number | null {
  const { local, remote, remoteBelow } = row
  if (local === null || local.kind !== 'file' || remote === null) return null
  const live = isLive(remote) ? remote : null
  const base = ancestor(row.base, remote)
  if (local.hash === live?.hash || local.hash === base?.hash) return null
  if (base === null) return live === null ? null : 0
  return live?.hash === base.hash && !remoteBelow ? null : base.version
}

/**
 * True if the bucket still has just what the base says, at the base's version or a later one. An older version with the same
 * content is a server that went back in time: good as an ancestor, but no ground for a deletion.
 */
export function unchangedSinceBase(row: Pick<Row, 'base' | 'remote'>): boolean {
  const { base, remote } = row
  return base !== null && isLive(remote) && remote.version >= base.version && sameContent(base, remote)
}

export function sameContent(a: Content, b: Content): boolean {
  return a.kind === b.kind && a.hash === b.hash && a.executable === b.executable
}

export function isMarker(path: Path): boolean {
  return path.endsWith('/')
}

/** The base, if the bucket's present follows from it; null if there is none, or the bucket went back in time past it. */
function ancestor(base: Base | null, remote: Remote | null): Base | null {
  if (base === null || remote === null) return null
  if (remote.version > base.version) return base
  return isLive(remote) && sameContent(base, remote) ? base : null
}

function absentHere(row: Known): Step | null {
  const { path, remote } = row
  if (!isLive(remote)) return forget(row)
  return unchangedSinceBase(row) ? deleteRemote(path, remote) : download(path, remote, null)
}

function presentHere(row: Known, local: Content): Step | null {
  const { path, remote } = row
  if (remote === null) return upload(path, local, 'absent')
  if (!isLive(remote)) return presentButDeleted(row, local, remote)
  if (sameContent(local, remote)) return agree(row, remote)
  const base = ancestor(row.base, remote)
  return base === null ? unrelated(row, local, remote) : threeWay(row, base, local, remote)
}

/** Edit beats delete, and so does a presence that no base explains. What was fetched since the base is neither. */
function presentButDeleted(row: Known, local: Content, remote: Tombstone): Step {
  const base = ancestor(row.base, remote)
  if (base !== null && (sameContent(local, base) || fetchedSince(row, base, local))) return deleteLocal(row.path, local)
  return upload(row.path, local, { version: remote.version, hash: remote.entry })
}

/** No common past: equal bytes take the server's mode, an older version is merely stale, the rest is a conflict. */
function unrelated(row: Known, local: Content, remote: Live): Step {
  const stale = local.hash === remote.hash || row.localIsOldVersion
  return stale ? download(row.path, remote, local) : conflict(row.path, local, remote)
}

/** One side's change wins whole when the other changed nothing, or only the mode. What was fetched since the base is no change of this side's. */
function threeWay(row: Known, base: Base, local: Content, remote: Live): Step {
  const { path } = row
  if (sameContent(local, base)) return download(path, remote, local)
  if (sameContent(remote, base)) return upload(path, local, expects(remote))
  if (local.hash === remote.hash || local.hash === base.hash) return download(path, remote, local)
  if (remote.hash === base.hash) return upload(path, local, expects(remote))
  return fetchedSince(row, base, local) ? download(path, remote, local) : conflict(path, local, remote)
}

/** What an agent fetched and could not write down any more: the bucket's history has it after the base. */
function fetchedSince(row: Known, base: Base, local: Content): boolean {
  return row.localIsOldVersion && local.hash !== base.hash
}

/** The bucket has both `path` and something below it: on disk the folder keeps the name. */
function makeWay(row: Known): Step | null {
  const { path, local, remote } = row
  if (local === null) return row.base === null && isLive(remote) ? skip(path, 'file-and-folder') : forget(row)
  const base = ancestor(row.base, remote)
  const fetched = base === null ? isLive(remote) && row.localIsOldVersion : fetchedSince(row, base, local)
  const kept = isLive(remote)
    ? local.hash === remote.hash || local.hash === base?.hash
    : base !== null && sameContent(local, base)
  return kept || fetched ? deleteLocal(path, local) : conflict(path, local, null)
}

/** The user put a folder where the file was. */
function replacedByFolder(row: Known): Step | null {
  const { path, remote } = row
  if (!isLive(remote)) return forget(row)
  if (unchangedSinceBase(row)) return deleteRemote(path, remote)
  return row.base === null ? skip(path, 'file-and-folder') : forget(row)
}

/** A marker stands for a folder that may be empty; one with something in it exists on either side by that alone. */
function decideMarker(row: Known): Step | null {
  const { path, base, local, remote } = row
  if (isLive(remote)) {
    if (local !== null || row.localFolder) return agree(row, remote)
    return unchangedSinceBase(row) && !row.remoteBelow ? deleteRemote(path, remote) : download(path, remote, null)
  }
  if (local === null || row.remoteBelow) return forget(row)
  if (remote === null) return upload(path, local, 'absent')
  if (ancestor(base, remote) !== null) return deleteLocal(path, local)
  return upload(path, local, { version: remote.version, hash: remote.entry })
}

function isLive(remote: Remote | null): remote is Live {
  return remote !== null && remote.kind !== 'deleted'
}

function suits(path: Path, content: Exclude<Local, { kind: 'unknown' }> | null): boolean {
  return content === null || (content.kind === 'folder') === isMarker(path)
}

function agree(row: Known, remote: Live): Step | null {
  const { path, base } = row
  if (base !== null && base.version === remote.version && sameContent(base, remote)) return null
  const { kind, hash, size, executable, version } = remote
  return { type: 'record', path, base: { kind, hash, size, executable, version } }
}

function forget(row: Known): Step | null {
  return row.base === null ? null : { type: 'record', path: row.path, base: null }
}

function expects(remote: Live): Expectation {
  return { version: remote.version, hash: remote.hash }
}

function upload(path: Path, local: Content, expect: Expectation): Step {
  return { type: 'upload', path, local, expect, copyOf: null }
}

function deleteRemote(path: Path, remote: Live): Step {
  return { type: 'delete-remote', path, expect: expects(remote) }
}

function download(path: Path, remote: Live, replaces: Content | null): Step {
  return { type: 'download', path, remote, replaces }
}

function deleteLocal(path: Path, replaces: Content): Step {
  return { type: 'delete-local', path, replaces, base: null }
}

function conflict(path: Path, local: Content, remote: Live | null): Step {
  return { type: 'conflict', path, local, remote }
}

function skip(path: Path, reason: Reason): Step {
  return { type: 'skip', path, reason }
}
