import type { Conflict, Outcome } from './contract/types.ts'
import { keyOf, type Entry, type EntryChange } from './entry.ts'
import { holds, NEVER_WAS, type Standing } from './expectation.ts'
import type { View } from './view/view.ts'

/** An entry before it gets its base and, unless it has one, its time. */
export type Draft = Omit<Entry, 'v' | 'time' | 'based'> & Partial<Pick<Entry, 'time'>>
/** `wait`: it depends on an entry that is only about to be appended. */
export type Verdict = 'append' | 'wait' | Outcome

/**
 * Says what the view will make of drafts that are appended in this order, so that none is appended in vain. Keeps in mind what
 * those before would do; only a race with another process can prove it wrong. `outcomes`: those of the drafts that the view has.
 */
export function judge(
  view: View,
  drafts: readonly Draft[],
  outcomes: readonly (Outcome | null)[] = view.outcomes(drafts.map(({ id }) => id)),
): readonly Verdict[] {
  const standings = new Map(view.standings([...new Set(drafts.flatMap(({ changes }) => changes.map(keyOf)))]))
  const touched = new Set<string>()
  const ids = new Set<string>()
  const standing = (key: string): Standing => standings.get(key) ?? NEVER_WAS
  return drafts.map((draft, index): Verdict => {
    const outcome = outcomes[index] ?? null
    if (outcome !== null) return outcome
    const failing = draft.changes.filter((change) => !holds(change.expect, standing(keyOf(change))))
    const open = ids.has(draft.id) || (failing.length > 0 && draft.changes.some((change) => touched.has(keyOf(change))))
    if (failing.length > 0 && !open) return refusal(view, draft.id, failing)
    ids.add(draft.id)
    for (const change of draft.changes) {
      const key = keyOf(change)
      touched.add(key)
      if (!open) standings.set(key, standingAfter(change, draft.id, standing(key)))
    }
    return open ? 'wait' : 'append'
  })
}

function refusal(view: View, id: string, failing: readonly EntryChange[]): Outcome {
  const conflicts = failing.map((change): Conflict => {
    const key = keyOf(change)
    return { key, expected: change.expect, current: view.find(key) }
  })
  return { id, ok: false, conflicts }
}

function standingAfter(change: EntryChange, id: string, before: Standing): Standing {
  if ('put' in change) return { version: before.version + 1, deleted: false, stamp: change.hash }
  return before.deleted ? before : { version: before.version + 1, deleted: true, stamp: id }
}
