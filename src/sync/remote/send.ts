import type { ChangeInput, EntryInput } from '../../store/contract/types.ts'
import type { Path } from '../core/types.ts'
import { intend, type Intent } from '../state/intents.ts'
import { write } from '../state/open.ts'
import { commitAll, type Settled } from './commit.ts'
import { keyOf } from './mapping.ts'
import type { Prepared } from './prepare.ts'
import { reasonOf, type PushOptions, type PushResult } from './push-work.ts'

/** What goes into one entry: a put or a delete, or the put and the delete of a move. */
export type Parcel = readonly [Prepared, ...Prepared[]]

/** Commits parcels and reports their results. Throws what concerns the bucket as a whole. */
export async function send(options: PushOptions, parcels: readonly Parcel[]): Promise<void> {
  if (parcels.length === 0) return
  const ids = write(options.db, () => intend(options.db, parcels.map(intentOf), () => options.ids.next()))
  const entries = parcels.map((parcel, index) => entryOf(options, parcel, ids[index] ?? ''))
  const byId = new Map(parcels.map((parcel, index) => [ids[index] ?? '', parcel]))
  const refused: Parcel[] = []
  await commitAll(options.bucket.store, entries, (settled) => {
    options.onResults(
      settled.flatMap((one) => {
        const parcel = byId.get(one.id)
        if (parcel === undefined) throw new Error(`the bucket answered for entry ${one.id}, which was not sent`)
        if (!('error' in one) || parcel.length === 1) return resultsOf(options, parcel, one)
        refused.push(parcel)
        return []
      }),
    )
  })
  if (refused.length > 0) await sendApart(options, refused)
}

/** The bucket refuses one half of each of these: the put goes if it can, and the delete only after it. */
async function sendApart(options: PushOptions, parcels: readonly Parcel[]): Promise<void> {
  const done = new Set<Path>()
  const onResults = (results: readonly PushResult[]): void => {
    for (const { type, work } of results) if (type === 'done') done.add(work.step.path)
    options.onResults(results)
  }
  await send(
    { ...options, onResults },
    parcels.map(([put]) => [put]),
  )
  await send(
    options,
    parcels.flatMap(([put, from]) => (from !== undefined && done.has(put.work.step.path) ? [[from] as const] : [])),
  )
}

/** A half that the bucket would have taken, had it not refused the other, has no result: it is planned again. */
function resultsOf(options: PushOptions, parcel: Parcel, one: Settled): readonly PushResult[] {
  return parcel.flatMap(({ work, change }): PushResult[] => {
    if ('error' in one)
      return [{ type: 'failed', work, reason: reasonOf(one.error) ?? 'upload-failed', error: one.error }]
    const key = keyOf(options.bucket.prefix, work.step.path)
    if (one.ok) {
      const info = one.blobs.find((blob) => blob.key === key) ?? null
      return [{ type: 'done', work, content: change?.sent ?? null, info }]
    }
    const conflict = one.conflicts.find((found) => found.key === key)
    return conflict === undefined ? [] : [{ type: 'overtaken', work, current: conflict.current }]
  })
}

/** An intent is kept under the path of its put, or of the only delete. */
function intentOf(parcel: Parcel): Intent {
  const [{ work, change }] = parcel
  const wanted = parcel.map((item) => {
    const { step } = item.work
    return [step.type, step.path, step.expect, item.change?.hash ?? null, item.change?.sent.executable ?? null]
  })
  return { path: work.step.path, content: change?.sent ?? null, wanted: JSON.stringify(wanted) }
}

function entryOf(options: PushOptions, parcel: Parcel, id: string): EntryInput {
  const changes = parcel.map(({ work: { step }, change }): ChangeInput => {
    if (change === null) return { type: 'delete', key: keyOf(options.bucket.prefix, step.path), expect: step.expect }
    const { sent: _sent, ...put } = change
    return put
  })
  return { id, device: options.device, changes }
}
