import type { Path } from '../core/types.ts'
import { syncStanding } from './batch.ts'
import type { DiskContext } from './context.ts'
import { lookAtFile } from './look.ts'
import { movedFrom } from './move.ts'
import type { Observation } from './observed.ts'
import { OLD_PART, PART } from './staging.ts'

/** A download that was about to get its name when nobody was left to tell whether it did. */
export interface Unclear {
  readonly path: Path
  /** Names its file in the temporary folder. */
  readonly op: string
  /** SHA-256 of its bytes. */
  readonly comes: string
  /** SHA-256 of what the name held before, as last seen; null: nothing. */
  readonly before: string | null
}

/**
 * Which of them got their names, each with what is there now, which may be an edit of it; durable. One whose bytes still wait in the
 * temporary folder did not, nor did one in whose place is what was there before, or nothing.
 */
export async function findPlaced(context: DiskContext, unclear: readonly Unclear[]): Promise<readonly Observation[]> {
  const { fs, clock, confine } = context
  const found: Observation[] = []
  const shown: string[] = []
  for (const one of unclear) {
    if (await stillWaits(context, one)) continue
    const place = confine.place(one.path)
    if ('blocked' in place || fs.lstat(place.at)?.kind !== 'file') continue
    const look = await lookAtFile(fs, clock, place.at, { takeBusy: true })
    if (look.kind !== 'file' || (look.content.hash === one.before && one.comes !== one.before)) continue
    const { hash, size, executable } = look.content
    const { mtimeNs } = look.stat
    const node = { kind: 'file', hash, size, executable, identity: look.identity, mtimeNs } as const
    found.push({ path: one.path, node })
    const name = place.at.slice(place.at.lastIndexOf('/') + 1)
    shown.push(place.shown, `${place.shown}/${name}`)
  }
  if (found.length > 0) await syncStanding(context, [context.tmp], shown)
  return found
}

/** Names are given by renaming or exchanging: where its bytes are, there it is. */
async function stillWaits({ fs, clock, tmp, confine }: DiskContext, { op, comes }: Unclear): Promise<boolean> {
  const from = movedFrom(op)
  if (from !== null) {
    const place = confine.place(from)
    return !('blocked' in place) && fs.lstat(place.at) !== null
  }
  if (fs.lstat(`${tmp}/${op}${PART}`) || fs.lstat(`${tmp}/${op}${OLD_PART}`)) return true
  if (!fs.lstat(`${tmp}/${op}.new`)) return false
  const look = await lookAtFile(fs, clock, `${tmp}/${op}.new`, { takeBusy: true })
  return look.kind !== 'file' || look.content.hash === comes
}
