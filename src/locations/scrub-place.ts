import type { Buckets } from '../store/contract/blob-store.ts'
import { BlobsError } from '../store/contract/errors.ts'
import type { Inspection } from '../store/contract/findings.ts'
import type { Scrubbed } from '../store/contract/types.ts'

export interface ScrubbedBucket extends Scrubbed {
  readonly bucket: string
}

/** Scrubs a bucket of a place, or all of them for ''. Throws `NotSupported` where another program keeps the bytes. */
export async function scrubPlace(
  buckets: Buckets,
  bucket: string,
  inspection: Inspection,
): Promise<readonly ScrubbedBucket[]> {
  if (buckets.scrub === undefined) {
    throw new BlobsError('NotSupported', 'what this place keeps cannot be listed, and so not be checked as a whole')
  }
  const names: string[] = []
  if (bucket !== '') names.push(bucket)
  else for await (const { name } of buckets.list()) names.push(name)
  const scrubbed: ScrubbedBucket[] = []
  for (const name of names) scrubbed.push({ bucket: name, ...(await buckets.scrub(name, inspection)) })
  return scrubbed
}
