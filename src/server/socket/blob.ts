import { mayRead, mayWrite } from '../../access/grant.ts'
import type { BlobStore } from '../../store/contract/blob-store.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo } from '../../store/contract/types.ts'
import { stageStream } from '../../store/contract/upload.ts'
import { forbid, isMissing, type Scene, useBucket, useBucketToWrite } from '../call.ts'
import { ownOutcomes } from '../scope.ts'
import type { Hold } from './line.ts'

/** Bytes of the largest blob that is told: one that could be set in a packet of this protocol is smaller. */
const MAX_TOLD = 750_000

/** What there is at a key, as clients of this protocol know it; a blob without bytes has no `data`. */
interface Told {
  /** Base64, in its canonical form. */
  readonly data?: string
  readonly version: number
}

interface Getting {
  readonly key: string
  /** A version whose data need not be told. */
  readonly known: number | null
  readonly hold: Hold
}

/** The blob at `key`; without its data when its version is `known`. Null when nothing stands there. Throws what the store throws. */
export async function getBlob(scene: Scene, { key, known, hold }: Getting): Promise<Told | null> {
  if (!mayRead(scene.grant, scene.bucket, key)) forbid(scene, `read ${scene.bucket}/${key}`)
  try {
    return await useBucket(scene, async (store) => {
      const info = await store.head(key)
      if (info === null || info.deleted) return null
      return info.version === known ? { version: info.version } : await tell(store, info, hold)
    })
  } catch (error) {
    // What is in a bucket that is not there yet is not there either.
    if (isMissing(error)) return null
    throw error
  }
}

interface Setting {
  readonly key: string
  readonly bytes: Uint8Array
  /** The version to be replaced; any will do where nothing stands. */
  readonly version: number | null
  readonly hold: Hold
  /** Told of the id of each entry before it is committed, and of each that made no version. */
  readonly onEntry: (id: string) => void
  readonly onVoid: (id: string) => unknown
}
type SetAnswer = ({ readonly success: true } & Pick<Told, 'version'>) | ({ readonly success: false } & Told)

// Each time somebody else was faster; a client that meets them asks again itself.
const ATTEMPTS = 8

/** Makes the next version of the blob, or tells what stands there instead of the version that was to be replaced. */
export async function setBlob(scene: Scene, setting: Setting): Promise<SetAnswer> {
  const { bucket, grant } = scene
  const { key, version, hold } = setting
  if (!mayWrite(grant, bucket, key)) forbid(scene, `write ${bucket}/${key}`)
  return useBucketToWrite(scene, async (_confined, store) => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const found = await store.head(key)
      const current = found === null || found.deleted ? null : found
      if (current !== null && current.version !== version) return refusal(scene, store, { current, hold })
      const made = await commit(scene, store, setting, current)
      if (made !== null) return { success: true, version: made }
    }
    throw new BlobsError('Unavailable', `${bucket}/${key} changes too fast`, { bucket, key, retryAfter: 1000 })
  })
}

/** The version that was made; null when another one stands there now. */
async function commit(
  { context, grant, bucket }: Scene,
  store: BlobStore,
  { key, bytes, onEntry, onVoid }: Setting,
  current: BlobInfo | null,
): Promise<number | null> {
  const staged = await stageStream(store, pieces(bytes), { slabs: context.memory.of(grant.id) })
  const expect = current === null ? 'absent' : ({ version: current.version, hash: current.hash } as const)
  const put = { type: 'put', key, expect, contentType: 'application/octet-stream', meta: {}, ...staged } as const
  const entry = { id: context.newId(), author: grant.name, changes: [put] }
  onEntry(entry.id)
  try {
    const [outcome] = ownOutcomes(grant, [entry], await store.commit([entry]), bucket)
    if (outcome?.ok) return outcome.blobs[0]?.version ?? unknownOutcome(bucket, key)
    onVoid(entry.id)
    return null
  } catch (error) {
    onVoid(entry.id)
    throw error
  }
}

function unknownOutcome(bucket: string, key: string): never {
  throw new BlobsError('Unavailable', `${bucket}/${key} was written, and its version is not known`)
}

async function refusal(
  { grant, bucket }: Scene,
  store: BlobStore,
  { current, hold }: { readonly current: BlobInfo; readonly hold: Hold },
): Promise<SetAnswer> {
  if (!mayRead(grant, bucket, current.key)) return { success: false, version: current.version }
  return { success: false, ...((await tell(store, current, hold)) ?? { version: current.version }) }
}

/** Null when it was deleted meanwhile. Throws `TooLarge`. */
async function tell(store: BlobStore, info: BlobInfo, hold: Hold): Promise<Told | null> {
  const { bucket, key, version, size } = info
  if (size > MAX_TOLD) {
    throw new BlobsError('TooLarge', `${bucket}/${key} has ${size} bytes, more than this protocol carries`, { key })
  }
  if (size === 0) return { version }
  await hold(size * 3)
  const blob = await store.get(key, { version })
  if (blob === null) return null
  const all: Uint8Array[] = []
  for await (const piece of blob.stream) all.push(piece)
  return { data: Buffer.concat(all).toString('base64'), version }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
