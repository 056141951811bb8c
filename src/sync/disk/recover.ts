import type { Path } from '../core/types.ts'
import type { DiskContext } from './context.ts'
import { codeOf } from './failure.ts'
import type { Intent } from './journal.ts'
import { lookAtFile, type Look } from './look.ts'
import type { Observation } from './observed.ts'
import { observe, rescue } from './siblings.ts'
import { discard, OLD_PART, PART } from './staging.ts'
import { moveToTrash } from './trash.ts'

type KnownToServer = (path: Path, hash: string) => boolean | Promise<boolean>
/** Whether these bytes at a path are what both sides agreed on last. */
type IsAgreed = (path: Path, hash: string) => boolean

/**
 * Empties the temporary folder. What can only be ours is removed; what may be a user's is removed only if it is what the server sent for
 * that very step, goes to the trash if the server knows it, and gets its name back, or a sibling's, if not.
 */
export async function recover(
  context: DiskContext,
  knownToServer: KnownToServer,
  isAgreed: IsAgreed,
): Promise<readonly Observation[]> {
  const { fs, clock, journal, late } = context
  const intents = journal.intents()
  const back: Observation[] = []
  const waiting = new Set<string>()
  for (const { name, kind } of fs.list(context.tmp)) {
    if (name === null) continue
    const at = `${context.tmp}/${name}`
    if (kind === 'file' && (name.endsWith(PART) || name.endsWith(OLD_PART))) discard(fs, at)
    else {
      const op = name.split('.')[0] ?? name
      const found = await bringBack(context, { at, op, intent: intents.get(op) ?? null }, knownToServer, isAgreed)
      if (found === 'waits') waiting.add(op)
      else if (found !== null) back.push(found)
    }
  }
  for (const known of journal.late()) late.set(known.op, { ...known, since: clock.elapsed() })
  // Only now, and durably: until here the notes say what is in the temporary folder.
  await fs.syncGroup(context.root.path, [context.tmp, ...back.flatMap(({ path }) => folderOf(context, path))])
  journal.settle(waiting)
  return back
}

interface Leftover {
  readonly at: string
  readonly op: string
  readonly intent: Intent | null
}

async function bringBack(
  context: DiskContext,
  { at, op, intent }: Leftover,
  knownToServer: KnownToServer,
  isAgreed: IsAgreed,
): Promise<Observation | 'waits' | null> {
  const { fs, clock, confine } = context
  const look = await lookAtFile(fs, clock, at, { takeBusy: true })
  const hash = look.kind === 'file' ? look.content.hash : null
  if (intent && hash === intent.comes) {
    discard(fs, at)
    return null
  }
  const path = intent?.path ?? `recovered-${op.slice(0, 8)}`
  const known = hash !== null && (await knownToServer(intent?.path ?? '', hash))
  // A name that was given up for bytes that never came must not look as if its user had deleted it.
  const came = intent !== null && (intent.comes === '' || isAgreed(intent.path, intent.comes))
  // Most likely it is what both sides know: a second name for it would look like somebody's edit.
  const illegible = intent !== null && isIllegible(context, at, look)
  const wanted = (!known && !illegible) || (intent !== null && !came)
  const back = wanted ? nameBack(context, at, path, look) : null
  if (back) return back
  if (illegible && (came || isTaken(context, path))) return 'waits'
  if (!known) return rescue(context, at, path, op)
  moveToTrash(fs, confine, clock, at, path, op)
  return null
}

/** The disk fails to read what its owner may read. */
function isIllegible({ fs }: DiskContext, at: string, look: Look): boolean {
  const stat = look.kind === 'unknown' && look.reason === 'unreadable' ? fs.lstat(at) : null
  return stat?.kind === 'file' && (stat.mode & 0o400) !== 0
}

function isTaken({ fs, confine }: DiskContext, path: Path): boolean {
  const place = confine.place(path)
  return !('blocked' in place) && fs.lstat(place.at) !== null
}

function nameBack(context: DiskContext, at: string, path: Path, look: Look): Observation | null {
  const place = context.confine.place(path, true)
  if ('blocked' in place) return null
  try {
    context.fs.renameNew(at, place.at)
  } catch (error) {
    if (codeOf(error) === null) throw error
    return null
  }
  if (look.kind === 'file') return observe(context, path, look.content, look.stat)
  return { path, node: { kind: 'unknown', reason: 'changing' } }
}

function folderOf({ confine }: DiskContext, path: Path): string[] {
  const place = confine.place(path)
  return 'blocked' in place ? [] : [place.shown]
}
