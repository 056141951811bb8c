import { isOpenForWriting } from './act.ts'
import type { DiskContext } from './context.ts'
import type { Late } from './journal.ts'
import { lookAtFile } from './look.ts'
import type { Observation } from './observed.ts'
import { moveToSibling, observe } from './siblings.ts'

/** How long a file is watched of which the system cannot tell whether somebody has it open. */
const PATIENCE_MS = 60_000

/** Looks at trashed files that may have been written to; what was becomes a sibling, what cannot be any more is let go. */
export async function takeLateWrites(context: DiskContext): Promise<readonly Observation[]> {
  const siblings: Observation[] = []
  for (const late of context.late.values()) {
    const sibling = await takeLate(context, late)
    if (sibling === 'wait') continue
    if (sibling !== null) siblings.push(sibling)
    context.late.delete(late.op)
    context.journal.forget(late.op)
  }
  if (siblings.length > 0) await context.fs.syncGroup(context.root.path, [context.root.path, context.tmp])
  return siblings
}

async function takeLate(context: DiskContext, late: Late & { since: number }): Promise<Observation | 'wait' | null> {
  const { fs, clock, confine } = context
  const place = confine.place(late.trash)
  const stat = 'blocked' in place ? null : fs.lstat(place.at)
  if ('blocked' in place || stat?.kind !== 'file') return null
  const open = await isOpenForWriting(context, place.at)
  if (open === true) return 'wait'
  if (stat.size === late.size && String(stat.mtimeNs) === late.mtimeNs) {
    return open === null && clock.elapsed() - late.since < PATIENCE_MS ? 'wait' : null
  }
  const again = confine.place(late.trash)
  if ('blocked' in again) return null
  const look = await lookAtFile(fs, clock, again.at)
  if (look.kind !== 'file') return 'wait'
  if (look.content.hash === late.hash) return null
  const { content, stat: now } = look
  const { path, op } = late
  return observe(
    context,
    await moveToSibling(context, again.at, { path, op, hash: content.hash, stat: now }),
    content,
    now,
  )
}
