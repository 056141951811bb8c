import type { CommitOptions } from '../contract/blob-store.ts'
import { BlobsError, isBlobsError } from '../contract/errors.ts'
import type { ChangeInput, EntryInput, Outcome } from '../contract/types.ts'
import { eachOf } from '../objects/each.ts'
import { recordWritten } from './settle.ts'
import { inStep, type Parts, type Scene } from './standing.ts'
import { checkWritable, writeThere, type ToWrite, type Written } from './write.ts'

/** Something changed there between the look and the write. */
export class Overtaken extends Error {}

/**
 * Judges entries against the shadow, which was just brought in step, writes what holds there, and then into the shadow. Outcomes go into `outcomes`
 * as soon as they are known. Throws `Overtaken` if somebody was faster there: then look again, and go on with those that have no outcome.
 */
export async function commitThere(
  parts: Parts,
  scene: Scene,
  entries: readonly EntryInput[],
  outcomes: Map<string, Outcome>,
  options: CommitOptions,
): Promise<void> {
  // Both throw for what can never be, before anything is written.
  await parts.shadow.foresee(entries, options)
  checkWritable(parts.foreign, entries)
  for (const group of independent(entries)) await commitGroup(parts, scene, group, outcomes)
}

/** Neighbours that have nothing to do with each other. */
function independent(entries: readonly EntryInput[]): readonly (readonly EntryInput[])[] {
  const groups: EntryInput[][] = []
  let seen = new Set<string>()
  for (const entry of entries) {
    const names = [
      `id ${entry.id}`,
      ...entry.changes.flatMap((change) => [
        `key ${change.key}`,
        ...(change.type === 'put' && 'copy' in change.body ? [`key ${change.body.copy.key}`] : []),
      ]),
    ]
    if (groups.length === 0 || names.some((name) => seen.has(name))) {
      groups.push([])
      seen = new Set()
    }
    for (const name of names) seen.add(name)
    groups.at(-1)?.push(entry)
  }
  return groups
}

async function commitGroup(
  parts: Parts,
  scene: Scene,
  group: readonly EntryInput[],
  outcomes: Map<string, Outcome>,
): Promise<void> {
  const foreseen = await parts.shadow.foresee(group)
  for (const outcome of foreseen.values()) outcomes.set(outcome.id, outcome)
  const plans = group.filter(({ id }) => !foreseen.has(id)).map((entry) => planOf(parts, scene, entry))
  const numbers = await intend(parts, plans)
  const results = await eachOf(plans, parts.promises.parallel, async (plan): Promise<Result> => {
    try {
      return { plan, written: await writeThere(parts, plan) }
    } catch (error) {
      return { plan, error }
    }
  })
  const good = results.filter((result) => 'written' in result)
  const made = await parts.shadow.commit(good.map(({ plan }) => plan.entry))
  for (const outcome of made) outcomes.set(outcome.id, outcome)
  const inShadow = good.filter((_, index) => made[index]?.ok === true)
  await recordWritten(
    parts,
    scene,
    inShadow.flatMap(({ written }) => written),
    inShadow.flatMap(({ plan }) => numbers.get(plan) ?? []),
  )
  const failed = results.find((result) => 'error' in result)
  if (failed !== undefined) throw isBlobsError(failed.error, 'VersionConflict') ? new Overtaken() : failed.error
  if (inShadow.length < good.length) throw shadowMoved()
}

type Result =
  | { readonly plan: ToWrite; readonly written: readonly Written[] }
  | { readonly plan: ToWrite; readonly error: unknown }

/** What has to be written for an entry: nothing where the bytes are there already, or are gone. */
function planOf({ promises }: Parts, scene: Scene, entry: EntryInput): ToWrite {
  const { there, here } = scene
  const changes = entry.changes.filter((change: ChangeInput) =>
    change.type === 'put'
      ? here.hashes.get(change.key) !== change.hash || !inStep(scene, change.key)
      : here.hashes.has(change.key),
  )
  const tagOf = (key: string): string | null => {
    const known = here.known.get(key)?.tag ?? null
    const first = there.get(key)?.[0]?.tag ?? null
    if (first === known || promises.cannot['several writers'] !== undefined) return known
    throw new BlobsError('Unavailable', `${key} is just being written there by somebody else`, {
      key,
      hint: 'wait until that is whole, or remove it there',
    })
  }
  return { entry, changes, before: new Map(changes.map(({ key }) => [key, tagOf(key)])) }
}

/** Writes down what is about to be written, so that a crash leaves nobody in doubt. */
async function intend({ notes }: Parts, plans: readonly ToWrite[]): Promise<ReadonlyMap<ToWrite, number>> {
  const wanted = plans.filter(({ changes }) => changes.length > 0)
  if (wanted.length === 0) return new Map()
  const numbers = await notes.intend(wanted.map(({ entry, before }) => ({ entry, before })))
  return new Map(wanted.map((plan, index) => [plan, numbers[index] ?? 0]))
}

function shadowMoved(): BlobsError {
  return new BlobsError('Unavailable', 'what this machine has of the bucket changed during a write', {
    hint: 'try again',
  })
}
