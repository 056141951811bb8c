import { ContentDamaged, refsOnce } from '../../content/body.ts'
import { sha256, type Hash } from '../../content/hash.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Finding, Inspection } from '../contract/findings.ts'
import type { Scrubbed } from '../contract/types.ts'
import type { Follower } from '../follow.ts'
import type { BucketPorts, Content } from '../ports.ts'
import type { KeptBody } from '../view/kept.ts'
import { keptVersions } from './versions.ts'

/** Chunks read at once, and asked for at once. */
const CHUNKS = 16
const ASKED = 500
const REMEDY = 'copy the bucket from another place, or restore a backup; an older version may be whole: blobs history'

export interface ScrubOptions {
  readonly name: string
  readonly ports: BucketPorts
  readonly follower: Follower
  readonly inspection: Inspection
}

/**
 * Reads every chunk, and compares it with its hash; then looks whether each version has all of its chunks. Reports what is not so. The bucket may be
 * in use. Throws `NotSupported` where the chunks cannot be listed.
 */
export async function scrub({ name, ports, follower, inspection }: ScrubOptions): Promise<Scrubbed> {
  const { content } = ports
  const { damaged, ...read } = await readAll(content, inspection)
  const unnamed = new Set(damaged)
  let versions = 0
  for await (const some of keptVersions(follower)) {
    versions += some.length
    for (const [version, lost] of await lostOf(content, some, { damaged, inspection })) {
      for (const hash of lost) unnamed.delete(hash)
      inspection.report(lostVersion(name, version, [...lost]))
    }
    await inspection.pace(0)
  }
  for (const hash of unnamed) {
    const message = `chunk ${hash} of bucket ${name}, which no version names, is damaged`
    inspection.report({ code: 'chunk', severity: 'damage', message, remedy: REMEDY, bucket: name })
  }
  return { ...read, damaged: damaged.size, versions }
}

interface Read {
  readonly chunks: number
  readonly bytes: number
  readonly damaged: ReadonlySet<Hash>
}

async function readAll({ sweeping, get }: Content, { pace }: Inspection): Promise<Read> {
  if (sweeping === undefined) throw new BlobsError('NotSupported', 'the chunks of this place cannot be listed')
  const damaged = new Set<Hash>()
  let [chunks, bytes] = [0, 0]
  for await (const batch of sweeping.chunks()) {
    for (let at = 0; at < batch.length; at += CHUNKS) {
      const hashes = batch.slice(at, at + CHUNKS).map(({ hash }) => hash)
      const found = await get(hashes)
      for (const [index, one] of found.entries()) {
        // One that is gone by now is found below, if it is needed.
        if (one !== null && sha256(one) !== hashes[index]) damaged.add(hashes[index] ?? '')
      }
      const size = found.reduce((sum, one) => sum + (one?.length ?? 0), 0)
      chunks += hashes.length
      bytes += size
      await pace(size)
    }
  }
  return { chunks, bytes, damaged }
}

/** Of versions that lack bytes: which chunks and list objects; what is below a lost list is not known. */
async function lostOf(
  content: Content,
  versions: readonly KeptBody[],
  { damaged, inspection }: { readonly damaged: ReadonlySet<Hash>; readonly inspection: Inspection },
): Promise<ReadonlyMap<KeptBody, ReadonlySet<Hash>>> {
  const lost = new Map<KeptBody, Set<Hash>>()
  const lose = (version: KeptBody, hash: Hash): void =>
    void lost.set(version, (lost.get(version) ?? new Set()).add(hash))
  const asked = new Map<Hash, Set<KeptBody>>()
  const pause = (): Promise<void> => inspection.pace(0)
  const settle = async (): Promise<void> => {
    const missing = await content.missing([...asked.keys()])
    // What is aside is missing, and can be read.
    const gone = new Set<Hash>()
    for (const hash of missing) if ((await content.get([hash]))[0] === null) gone.add(hash)
    for (const [hash, of] of asked) if (gone.has(hash) || damaged.has(hash)) for (const one of of) lose(one, hash)
    asked.clear()
  }
  for (const version of versions) {
    try {
      for await (const refs of refsOnce(version.body, (hashes) => content.get(hashes), pause)) {
        for (const { hash } of refs) asked.set(hash, (asked.get(hash) ?? new Set()).add(version))
      }
    } catch (error) {
      if (!(error instanceof ContentDamaged)) throw error
      lose(version, error.hash)
    }
    if (asked.size >= ASKED) await settle()
  }
  await settle()
  return lost
}

function lostVersion(bucket: string, { key, version }: KeptBody, hashes: readonly Hash[]): Finding {
  const more = hashes.length > 1 ? ` and ${hashes.length - 1} more` : ''
  const message = `${bucket}/${key} version ${version} cannot be read: chunk ${hashes[0] ?? ''}${more} is lost`
  return { code: 'content', severity: 'damage', message, remedy: REMEDY, bucket, key, version }
}
