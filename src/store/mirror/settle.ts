import { isBlobsError } from '../contract/errors.ts'
import type { ChangeInput } from '../contract/types.ts'
import { openStaging } from '../contract/upload.ts'
import type { Intent } from './notes.ts'
import { recordDone, type Parts, type Scene } from './standing.ts'
import { readWhole } from './whole.ts'
import { writeThere, type ToWrite, type Written } from './write.ts'

/** Finds out how writes ended that nobody saw the end of, and brings them into the shadow as the entries that they were. */
export async function settleIntents(parts: Parts, scene: Scene): Promise<void> {
  for (const intent of await parts.notes.intents()) await settle(parts, scene, intent)
}

/** What became of a change there: it was made, was not begun, or something else stands there now. */
type State = { readonly made: Written } | 'not begun' | 'other'

async function settle(parts: Parts, scene: Scene, intent: Intent): Promise<void> {
  const { entry, before, number } = intent
  const made: Written[] = []
  const open: ChangeInput[] = []
  let others = 0
  for (const change of entry.changes) {
    if (!before.has(change.key)) continue
    const state = await stateOf(parts, scene, change, before.get(change.key) ?? null)
    if (state === 'not begun') open.push(change)
    else if (state === 'other') others += 1
    else made.push(state.made)
  }
  // Somebody else wrote there, or nothing happened: what stands there is taken as what it is.
  const isOurs = made.length > 0 && others === 0 && (open.length === 0 || parts.writable)
  const rest = isOurs ? await writeRest(parts, { entry, changes: open, before }) : null
  const [outcome] = rest === null ? [] : await parts.shadow.commit([entry])
  await recordWritten(parts, scene, outcome?.ok === true ? [...made, ...(rest ?? [])] : [], [number])
}

/** Null if it cannot be written: then what stands there is taken as what it is. */
async function writeRest(parts: Parts, rest: ToWrite): Promise<readonly Written[] | null> {
  try {
    return await writeThere(parts, rest)
  } catch (error) {
    if (isBlobsError(error, 'Unavailable')) throw error
    return null
  }
}

/** Notes what was written there, after it came into the shadow. */
export async function recordWritten(
  parts: Pick<Parts, 'shadow' | 'notes'>,
  scene: Scene,
  written: readonly Written[],
  settled: readonly number[],
): Promise<void> {
  for (const [change, tag] of written) {
    if (tag === null || change.type === 'delete') scene.there.delete(change.key)
    else scene.there.set(change.key, [{ key: change.key, tag, size: change.size, modified: null }])
  }
  await recordDone(parts, scene, {
    known: written.flatMap(([change, tag]) =>
      tag === null || change.type === 'delete' ? [] : [[change.key, { tag, hash: change.hash }] as const],
    ),
    gone: written.flatMap(([change]) => (change.type === 'delete' ? [change.key] : [])),
    settled,
  })
}

async function stateOf(parts: Parts, { there }: Scene, change: ChangeInput, before: string | null): Promise<State> {
  const items = there.get(change.key) ?? []
  if (change.type === 'delete') {
    if (items.length === 0) return { made: [change, null] }
    return items[0]?.tag === before ? 'not begun' : 'other'
  }
  for (const item of items) {
    if (item.tag === before) return 'not begun'
    const staging = openStaging(parts.shadow)
    const staged = await readWhole(parts, staging, item)
    if (staged === null) continue
    await staging.flush()
    return staged.hash === change.hash ? { made: [change, item.tag] } : 'other'
  }
  return before === null ? 'not begun' : 'other'
}
