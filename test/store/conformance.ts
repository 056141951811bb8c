import { afterEach, describe } from 'vitest'
import type { BlobStore } from '../../src/store/contract/blob-store.ts'
import { contentLaws } from './conformance/content.ts'
import { historyLaws } from './conformance/history.ts'
import { listingLaws } from './conformance/listing.ts'
import { readingLaws } from './conformance/reading.ts'
import { writingLaws } from './conformance/writing.ts'

/** A store over a bucket that nobody else uses and that is empty. */
export interface Opened {
  readonly store: BlobStore
  /** Where the tests write, when `store` takes no writes: another store over the same bucket. */
  readonly writer?: BlobStore
  /** Closes the store and opens the same bucket again, where that is possible. */
  readonly reopen?: () => Promise<BlobStore>
  readonly close: () => Promise<void>
}

/** What a store cannot do, each with its reason. */
export interface Deviations {
  /** `author` and `device` of an entry are kept as given. */
  readonly author?: string
  /** It takes commits and chunks. */
  readonly writes?: string
}

export interface Laws {
  readonly open: () => Promise<Required<Pick<Opened, 'store' | 'writer'>> & Pick<Opened, 'reopen'>>
  readonly deviations: Deviations
}

/** The suite for BlobStore: call it in a test file with a function that opens a store over a new, empty bucket. */
export function blobStoreConformance(
  name: string,
  open: () => Promise<Opened>,
  options: { readonly deviations?: Deviations } = {},
): void {
  describe(`${name} keeps the contract of BlobStore:`, () => {
    let opened: Opened[] = []
    afterEach(async () => {
      const all = opened
      opened = []
      for (const one of all) await one.close()
    })
    const laws: Laws = {
      deviations: options.deviations ?? {},
      open: async () => {
        const one = await open()
        opened.push(one)
        return { ...one, writer: one.writer ?? one.store }
      },
    }
    describe('writing', () => writingLaws(laws))
    describe('reading', () => readingLaws(laws))
    describe('listing', () => listingLaws(laws))
    describe('history', () => historyLaws(laws))
    describe('content', () => contentLaws(laws))
  })
}
