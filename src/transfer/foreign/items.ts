import type { BlobInfo, Meta } from '../../store/contract/types.ts'
import type { Hash } from '../../content/hash.ts'

/** What to do with one thing that another program kept. */
export interface ForeignPut {
  readonly kind: 'put'
  /** As its user knows it. */
  readonly name: string
  readonly key: string
  /** SHA-256 of the bytes, as it is known before they are read. */
  readonly hash: Hash
  readonly size: number
  readonly bytes: () => AsyncIterable<Uint8Array>
  readonly contentType: string
  readonly meta: Meta
  /** In the place of this machine's name. */
  readonly device?: string
  /** Says more of what this is than its key and bytes do. */
  readonly mark?: string
  /** It belongs to another one, and is not told of by itself. */
  readonly silent?: boolean
}
export interface ForeignDelete {
  readonly kind: 'delete'
  readonly name: string
  readonly key: string
  readonly device: string
  readonly mark: string
}
interface Passed {
  readonly kind: 'skipped'
  readonly name: string
  readonly reason: string
}
interface Failed {
  readonly kind: 'failed'
  readonly name: string
  readonly error: unknown
}

/** What is found where another program kept its things. */
export type Found = ForeignPut | ForeignDelete | Passed | Failed

/** What became of one thing, in the order in which they were found. */
export type ForeignResult =
  /** `info`: its version; null when there is none, or none yet. */
  | {
      readonly kind: 'done'
      readonly name: string
      readonly key: string
      readonly size: number
      readonly info: BlobInfo | null
    }
  /** It was there already, just so. */
  | { readonly kind: 'unchanged'; readonly name: string }
  | Passed
  | Failed
