import type { ConflictItem, Keep, ResolveResult } from '../api.ts'
import { parseConflictName } from '../core/conflict-name.ts'
import type { Content, Path } from '../core/types.ts'
import type { DiskWork } from '../disk/transition.ts'
import { keyOf } from '../remote/mapping.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { write } from '../state/open.ts'
import { rowAt, siblingPaths, type PlanRow } from '../state/rows.ts'
import type { Session } from './session.ts'

type Sibling = ConflictItem['siblings'][number]

/**
 * The conflict files of the folder by their originals. A file that merely looks like one is none: its original has to be there, or to
 * have been there once, as far as both sides know.
 */
export async function listConflicts(session: Session): Promise<readonly ConflictItem[]> {
  const found = new Map<Path, Sibling[]>()
  for (const path of siblingPaths(session.ports.db)) {
    const tag = parseConflictName(path)
    const row = rowAt(session.ports.db, session.ports.traits, path)
    if (tag === null || row === null || !standsHere(row)) continue
    const size = contentHere(row)?.size ?? 0
    found.set(tag.path, [...(found.get(tag.path) ?? []), { path, device: tag.device, time: tag.time, size }])
  }
  const items: ConflictItem[] = []
  for (const [path, siblings] of found) {
    const row = rowAt(session.ports.db, session.ports.traits, path)
    const exists = row !== null && standsHere(row)
    if (exists || (await everExisted(session, path))) items.push({ path, exists, siblings })
  }
  return items
}

/** As `listConflicts`, from what is known here alone. */
export function knownConflicts(
  session: Session,
): readonly { readonly path: Path; readonly siblings: readonly Path[] }[] {
  const { db, traits } = session.ports
  const found = new Map<Path, Path[]>()
  for (const path of siblingPaths(db)) {
    const tag = parseConflictName(path)
    if (tag === null || rowAt(db, traits, tag.path) === null) continue
    const row = rowAt(db, traits, path)
    if (row !== null && standsHere(row)) found.set(tag.path, [...(found.get(tag.path) ?? []), path])
  }
  return [...found].map(([path, siblings]) => ({ path, siblings }))
}

/** As `existsNow`, but not for what was taken away here and is in the bucket only until the next sync. */
function standsHere(row: PlanRow): boolean {
  const { base, local, remote } = row
  const takenAway = local === null && base !== null && remote !== null && remote.version === base.version
  return existsNow(row) && !takenAway
}

function existsNow(row: PlanRow): boolean {
  return row.local !== null || (row.remote !== null && row.remote.kind !== 'deleted')
}

function contentHere(row: PlanRow): Content | null {
  if (row.local !== null && row.local.kind !== 'unknown') return row.local
  return row.remote !== null && row.remote.kind !== 'deleted' ? row.remote : null
}

async function everExisted({ ports }: Session, path: Path): Promise<boolean> {
  const base = rowAt(ports.db, ports.traits, path)?.base ?? null
  if (base !== null) return true
  return (await ports.bucket.store.head(keyOf(ports.bucket.prefix, path))) !== null
}

/**
 * Resolves a conflict on disk; the next cycle tells the bucket. Each file is replaced only if it is as last seen, and what is replaced
 * or removed goes to the trash.
 */
export async function resolveConflict(session: Session, asked: Path, keep: Keep): Promise<ResolveResult> {
  const items = await listConflicts(session)
  const item = items.find(({ path, siblings }) => path === asked || siblings.some((sibling) => sibling.path === asked))
  if (item === undefined) {
    throw new BlobsError('NotFound', `${asked} has no conflict`, { hint: 'blobs conflicts lists them' })
  }
  const siblings = item.path === asked ? item.siblings : item.siblings.filter(({ path }) => path === asked)
  if (keep === 'mine' && siblings.length > 1) {
    const names = siblings.map(({ path }) => path).join(', ')
    throw new BlobsError('Refused', `${asked} has ${siblings.length} siblings: which one is yours?`, {
      hint: `name one of ${names}`,
    })
  }
  let kept: Path | null = null
  for (const sibling of siblings) {
    const target = keep === 'mine' ? item.path : keep === 'both' ? plainName(session, item.path, sibling) : null
    await move(session, sibling.path, target)
    kept = keep === 'both' ? target : kept
  }
  return { path: item.path, keep, removed: siblings.map(({ path }) => path), kept }
}

/** `notes (laptop 2026-01-02).md`, with a number behind it while that is taken. */
function plainName({ ports }: Session, original: Path, { device, time }: Sibling): Path {
  const cut = original.lastIndexOf('/') + 1
  const dot = original.lastIndexOf('.')
  const [stem, extension] = dot > cut ? [original.slice(0, dot), original.slice(dot)] : [original, '']
  for (let number = 1; ; number++) {
    const name = `${stem} (${device} ${time.slice(0, 10)}${number === 1 ? '' : ` ${number}`})${extension}`
    const row = rowAt(ports.db, ports.traits, name)
    if (row === null || !existsNow(row)) return name
  }
}

/** Gives a sibling's bytes another name (null: none) and takes its own away. */
async function move(session: Session, from: Path, to: Path | null): Promise<void> {
  const { ports } = session
  const row = rowAt(ports.db, ports.traits, from)
  const content = row?.local ?? null
  if (row === null || content === null || content.kind === 'unknown') {
    throw new BlobsError('Refused', `${from} is not on this disk yet`, { hint: 'run blobs sync first' })
  }
  if (to !== null) {
    const target = rowAt(ports.db, ports.traits, to)
    const replaces = target?.local ?? null
    if (replaces?.kind === 'unknown') throw busy(to)
    const sameBytes = replaces !== null && replaces.hash === content.hash
    await apply(session, {
      step: { type: 'download', path: to, remote: { ...content, version: 0 }, replaces },
      source: sameBytes ? null : { from: 'disk', path: from, orElse: () => vanished(from) },
      mtimeNs: row.localMtimeNs,
      identity: target === null || target.identity === '' ? null : target.identity,
    })
  }
  await apply(session, {
    step: { type: 'delete-local', path: from, replaces: content, base: null },
    identity: row.identity === '' ? null : row.identity,
  })
}

async function apply({ ports, observer }: Session, work: DiskWork): Promise<void> {
  const [result] = await ports.disk.apply([work])
  if (result?.type === 'done') write(ports.db, () => observer.take(result.now))
  else if (result?.type === 'failed' && result.error instanceof Error) throw result.error
  else throw busy(work.step.path)
}

async function* vanished(path: Path): AsyncGenerator<Uint8Array> {
  yield* []
  throw busy(path)
}

function busy(path: Path): BlobsError {
  return new BlobsError('Refused', `${path} changed meanwhile; nothing was replaced`, { hint: 'try again' })
}
