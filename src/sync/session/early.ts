import { plan } from '../core/plan.ts'
import type { Path } from '../core/types.ts'
import type { Observation } from '../disk/observed.ts'
import { openPusher, type Pusher } from '../remote/push.ts'
import { getMeta } from '../state/open.ts'
import { isOneSided } from '../state/rows.ts'
import { advance, type Progress as Moves } from './advance.ts'
import { awaitsRules, planNewFiles } from './planning.ts'
import { bytesOf, pushOptions, pushWork, type RoundContext } from './pushing.ts'

/** So many new files are sent together; fewer wait for the plan of all. */
const ENOUGH = 1000

/** Sends what is new in a folder while the rest of it is still looked at. */
export interface Early {
  /** These were written down. Resolves when what of them can go is on its way. */
  saw(observations: readonly Observation[]): Promise<void>
  /** All was seen: the last may go as well. */
  seen(): Promise<void>
  /** Resolves when nothing is under way any more. Throws what concerns the bucket as a whole. */
  end(): Promise<void>
}

/**
 * Only files go whose name and bytes no tree knows but the disk's: so they are no halves of moves, whatever is seen after them. Null where the
 * bucket was not read yet, or more than such files waits to be planned.
 */
export function openEarly(context: RoundContext, moves: Moves): Early | null {
  const { ports, failures, observer } = context
  if (getMeta(ports.db, 'cursor') === null || !isOneSided(ports.db) || awaitsRules(ports)) return null
  const enough = Math.min(ENOUGH, ports.window ?? ENOUGH)
  let pusher: Pusher | null = null
  let paths: Path[] = []
  let over = false
  const go = async (): Promise<void> => {
    const due = paths
    paths = []
    // They may have come by the feed.
    if (awaitsRules(ports)) over = true
    if (over) return
    const options = { leaveOut: (path: Path) => failures.waits(path), sendWhole: context.sendWhole }
    const found = planNewFiles(ports, due, options)
    const works = found.plan.uploads.filter(({ copyOf }) => copyOf === null).map((step) => pushWork(found, step))
    context.progress.expect(works.length, bytesOf(works))
    pusher ??= openPusher(pushOptions(context, advance({ ports, observer, failures, progress: moves }, UNPLANNED)))
    await pusher.add(works)
  }
  return {
    saw: async (observations) => {
      for (const { path, node } of observations) {
        // What goes may be the first half of a move.
        if (node.kind === 'absent' || node.kind === 'ignored') over = true
        if (node.kind === 'file' && node.size > 0) paths.push(path)
      }
      if (!over && paths.length >= enough) await go()
    },
    seen: async () => {
      if (pusher !== null) await go()
    },
    end: async () => {
      await pusher?.end()
    },
  }
}

/** Of files that are new on both sides there is nothing more to tell. */
const UNPLANNED = { plan: plan([]), rows: new Map() }
