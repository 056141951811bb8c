import type { Hash } from './hash.ts'

/**
 * How a blob's bytes are found. At depth 0 the refs are its chunks in order; at depth n each ref is a list object in Content
 * that holds refs of depth n-1. `size` of a ref counts the blob's bytes below it. The empty blob has no refs.
 */
export interface Body {
  readonly depth: number
  readonly refs: readonly BodyRef[]
}
export interface BodyRef {
  readonly hash: Hash
  readonly size: number
}
