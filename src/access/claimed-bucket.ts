import { createHash } from 'node:crypto'
import { checkBucketName } from '../store/contract/keys.ts'

/**
 * The bucket that a token of seed 000 is for. There, any text was a bucket's name: one that is none here stands for a name of its own,
 * made of what can be kept of it, and of its hash.
 */
export function claimedBucket(claim: string): string {
  try {
    return checkBucketName(claim)
  } catch {
    const legible = claim
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replace(/^-/, '')
      .slice(0, 40)
    const hash = createHash('sha256').update(claim).digest('hex').slice(0, 16)
    return `${legible === '' ? 'bucket' : legible}-${hash}`
  }
}
