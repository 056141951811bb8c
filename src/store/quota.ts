import { BlobsError } from './contract/errors.ts'
import type { BucketOptions } from './contract/types.ts'
import { keyOf } from './entry.ts'
import type { Draft } from './judge.ts'
import type { View } from './view/view.ts'

/**
 * Throws `QuotaExceeded` if a put would let the bucket's current blobs become more than its options allow; what makes it smaller passes. Two
 * writers at the same moment may exceed it together: whether an entry takes effect must not depend on a setting.
 */
export function checkQuota(view: View, drafts: readonly Draft[], { quotaBytes, quotaBlobs }: BucketOptions): void {
  if (quotaBytes === undefined && quotaBlobs === undefined) return
  let { blobs, bytes } = view.state()
  const sizes = new Map<string, number | null>()
  const sizeOf = (key: string): number | null => {
    const known = sizes.get(key)
    if (known !== undefined) return known
    const found = view.find(key)
    return found === null || found.deleted ? null : found.size
  }
  for (const change of drafts.flatMap(({ changes }) => changes)) {
    const key = keyOf(change)
    const before = sizeOf(key)
    const after = 'put' in change ? change.size : null
    const [moreBlobs, moreBytes] = [Number(after !== null) - Number(before !== null), (after ?? 0) - (before ?? 0)]
    sizes.set(key, after)
    blobs += moreBlobs
    bytes += moreBytes
    if (moreBytes > 0 && bytes > (quotaBytes ?? Infinity)) {
      throw exceeded(key, `its blobs would have ${bytes} bytes, and its quota is ${quotaBytes}`, '--quota SIZE')
    }
    if (moreBlobs > 0 && blobs > (quotaBlobs ?? Infinity)) {
      throw exceeded(key, `it would hold ${blobs} blobs, and its quota is ${quotaBlobs}`, '--quota-blobs N')
    }
  }
}

function exceeded(key: string, why: string, flag: string): BlobsError {
  return new BlobsError('QuotaExceeded', `the bucket takes no more with ${key}: ${why}`, {
    key,
    hint: `remove something, or raise the quota: blobs bucket set BUCKET ${flag}`,
  })
}
