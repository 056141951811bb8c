import { ContentDamaged, refsOnce } from '../../content/body.ts'
import { isTrimmed, lostCheckpoint, newestCheckpoint } from '../checkpoint/newest.ts'
import { PageLost } from '../checkpoint/page.ts'
import { pagesOf } from '../checkpoint/walk.ts'
import { BlobsError } from '../contract/errors.ts'
import { decodeEntry } from '../entry.ts'
import type { Follower } from '../follow.ts'
import type { BucketPorts } from '../ports.ts'
import type { Marks } from './marks.ts'
import { keptVersions } from './versions.ts'

/** An entry that stands for one in Content is shorter. */
const POINTER_BYTES = 300

export interface MarkOptions {
  readonly ports: BucketPorts
  readonly follower: Follower
  readonly marks: Marks
  /** Awaited often; throws to end it. */
  readonly pause: () => Promise<void>
}

/**
 * Marks all that the log, as it is now, its versions and its newest checkpoint refer to. Throws `Refused` where a list object cannot be read:
 * nobody knows what it names.
 */
export async function markAll(options: MarkOptions): Promise<void> {
  await markVersions(options)
  await markEntries(options)
  await markCheckpoint(options)
}

async function markVersions({ ports, follower, marks, pause }: MarkOptions): Promise<void> {
  for await (const some of keptVersions(follower)) {
    for (const { key, body } of some) {
      try {
        for await (const refs of refsOnce(body, (hashes) => ports.content.get(hashes), pause)) {
          for (const { hash } of refs) marks.add(hash)
        }
      } catch (error) {
        if (!(error instanceof ContentDamaged)) throw error
        throw damaged(key, error)
      }
    }
    await pause()
  }
}

function damaged(key: string, cause: ContentDamaged): BlobsError {
  return new BlobsError('Refused', `${key} is damaged, so nobody knows which chunks are needed: ${cause.message}`, {
    key,
    cause,
    hint: 'mend the store first: blobs doctor --repair',
  })
}

/** Entries that are too large for the log. */
async function markEntries({ ports, marks, pause }: MarkOptions): Promise<void> {
  const floor = (await ports.log.trimming?.floor()) ?? 0
  for await (const batch of ports.log.read({ after: floor })) {
    for (const raw of batch) {
      if (raw.data.length > POINTER_BYTES) continue
      const entry = decodeEntry(raw)
      if ('content' in entry) marks.add(entry.content)
    }
    await pause()
  }
}

/** Who still reads an older one finds that a page is gone, and begins again at this one. */
async function markCheckpoint({ ports, marks, pause }: MarkOptions): Promise<void> {
  for (;;) {
    const newest = await newestCheckpoint(ports)
    if (newest === null) return
    try {
      for await (const hashes of pagesOf(ports.content, newest)) {
        for (const hash of hashes) marks.add(hash)
        await pause()
      }
      return
    } catch (error) {
      if (!(error instanceof PageLost)) throw error
      // A newer one may be there by now, and this one be swept.
      if ((await ports.log.trimming?.checkpoint())?.root !== newest.root) continue
      if (await isTrimmed(ports.log)) throw lostCheckpoint(error)
      return
    }
  }
}
