import { BlobsError } from '../contract/errors.ts'
import type { BlobInfo, ChangeInput, EntryInput, Meta } from '../contract/types.ts'
import { openStaging, type Staged, type Staging } from '../contract/upload.ts'
import { eachOf } from '../objects/each.ts'
import type { ForeignItem } from './foreign.ts'
import { settleIntents } from './settle.ts'
import { endDoubt, expectationOf, inStep, lookHere, lookThere, recordDone, type Parts, type Scene } from './standing.ts'
import { readWhole } from './whole.ts'

/** Keys that come into the shadow by one commit. */
const BATCH = 256
/** Who wrote what came from there. */
const AUTHOR = 'unknown'
const TYPE = 'application/octet-stream'

/**
 * Brings the shadow in step with the place: what an interrupted write left is settled, what changed there becomes an entry, what is gone a
 * tombstone; equal bytes make no version. Gives both as they are now. What is listed but not whole leaves its key as it is. Throws as the
 * place does, with what was taken by then.
 */
export async function refresh(parts: Parts): Promise<Scene> {
  const scene: Scene = { there: await lookThere(parts), here: await lookHere(parts) }
  await settleIntents(parts, scene)
  const changed = [...scene.there.keys()].filter((key) => !inStep(scene, key))
  const gone = [...new Set([...scene.here.hashes.keys(), ...scene.here.known.keys()])].filter(
    (key) => !scene.there.has(key),
  )
  for (let at = 0; at < changed.length; at += BATCH) await takeChanged(parts, scene, changed.slice(at, at + BATCH))
  for (let at = 0; at < gone.length; at += BATCH) await takeGone(parts, scene, gone.slice(at, at + BATCH))
  await endDoubt(parts, scene)
  return scene
}

interface Taken {
  readonly key: string
  readonly item: ForeignItem
  readonly staged: Staged
}

async function takeChanged(parts: Parts, scene: Scene, keys: readonly string[]): Promise<void> {
  const { shadow, promises } = parts
  const staging = openStaging(shadow)
  const taken = (await eachOf(keys, promises.parallel, (key) => take(parts, scene, staging, key))).filter(
    (one) => one !== null,
  )
  await staging.flush()
  const entries: EntryInput[] = []
  for (const one of taken) {
    if (scene.here.hashes.get(one.key) === one.staged.hash) continue
    entries.push(entryOf(parts, await putOf(parts, one)))
  }
  await commitAll(parts, entries)
  await recordDone(parts, scene, {
    known: taken.map(({ key, item: { tag }, staged: { hash } }) => [key, { tag, hash }]),
  })
}

/** The newest that is whole; null if that is what the shadow has already, or none is. */
async function take(parts: Parts, { there, here }: Scene, staging: Staging, key: string): Promise<Taken | null> {
  const known = here.known.get(key)
  for (const item of there.get(key) ?? []) {
    if (item.tag === known?.tag && here.hashes.get(key) === known.hash) return null
    const staged = await readWhole(parts, staging, item)
    if (staged !== null) return { key, item, staged }
    // In doubt nothing tells whether the shadow has that very one already: an older one must not take its place.
    if (here.doubt && here.hashes.has(key)) return null
  }
  return null
}

async function putOf({ shadow }: Parts, { key, item, staged }: Taken): Promise<ChangeInput> {
  const before = await shadow.head(key)
  return {
    type: 'put',
    key,
    expect: await expectationOf({ shadow }, key),
    ...staged,
    contentType: before === null || before.deleted ? TYPE : before.contentType,
    meta: metaOf(before, item),
  }
}

/** What the place does not keep stays as it was. */
function metaOf(before: BlobInfo | null, { modified }: ForeignItem): Meta {
  const { mtime: _old, ...kept } = before?.deleted === false ? before.meta : {}
  return modified === null ? kept : { ...kept, mtime: (modified / 1000).toFixed(3) }
}

async function takeGone(parts: Parts, scene: Scene, keys: readonly string[]): Promise<void> {
  const { shadow } = parts
  const entries: EntryInput[] = []
  for (const key of keys) {
    if (!scene.here.hashes.has(key)) continue
    entries.push(entryOf(parts, { type: 'delete', key, expect: await expectationOf({ shadow }, key) }))
  }
  await commitAll(parts, entries)
  await recordDone(parts, scene, { gone: keys })
}

function entryOf({ newId }: Parts, change: ChangeInput): EntryInput {
  return { id: newId(), author: AUTHOR, changes: [change] }
}

async function commitAll({ shadow }: Parts, entries: readonly EntryInput[]): Promise<void> {
  if (entries.length === 0) return
  const outcomes = await shadow.commit(entries)
  if (outcomes.every(({ ok }) => ok)) return
  throw new BlobsError('Unavailable', 'what this machine has of the bucket changed while it was brought up to date', {
    hint: 'try again',
  })
}
