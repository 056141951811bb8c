import { zstdDecompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { treeBuilder } from '../../src/store/checkpoint/tree.ts'
import type { Top } from '../../src/store/view/start.ts'

const SIZES = { least: 100, around: 200, most: 1000 }

/** The tree of some keys: its pages by hash, and its top. */
function treeOf(keys: readonly string[]): { readonly pages: Map<string, string>; readonly top: Top | null } {
  const builder = treeBuilder(SIZES)
  const pages = new Map<string, string>()
  const keep = (found: readonly { hash: string; bytes: Uint8Array }[]): void => {
    for (const { hash, bytes } of found) pages.set(hash, zstdDecompressSync(bytes).toString())
  }
  for (const key of keys) keep(builder.add([key, 1], JSON.stringify([key, 1, 'what stands there'])))
  const { pages: rest, top } = builder.finish()
  keep(rest)
  return { pages, top }
}

function keysIn(pages: ReadonlyMap<string, string>, [hash, level]: Top): readonly string[] {
  const rows = JSON.parse(pages.get(hash) ?? '[]') as string[][]
  return rows.flatMap((row) => (level === 0 ? [row[0] ?? ''] : keysIn(pages, [row[2] ?? '', level - 1])))
}

const keys = fc
  .uniqueArray(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 8 }), { maxLength: 400, size: 'max' })
  .map((all) => all.toSorted())

it('a tree has all its rows in order, whatever they are, and pages of about the size that is asked for', () => {
  fc.assert(
    fc.property(keys, (all) => {
      const { pages, top } = treeOf(all)
      expect(top === null ? [] : keysIn(pages, top)).toEqual(all)
      for (const page of pages.values()) expect(page.length).toBeLessThan(SIZES.most + 200)
    }),
  )
})

it('a row more or less leaves nearly all pages as they were', () => {
  const all = Array.from({ length: 3000 }, (_, index) => `folder ${index % 50}/file ${index}`).sort()
  const before = treeOf(all)
  for (const at of [0, 1, 700, 1500, 2999]) {
    for (const changed of [all.toSpliced(at, 1), all.toSpliced(at, 0, `${all[at]}.new`).sort()]) {
      const { pages } = treeOf(changed)
      const fresh = [...pages.keys()].filter((hash) => !before.pages.has(hash))
      expect(fresh.length).toBeLessThan(12)
      expect(pages.size).toBeGreaterThan(300)
    }
  }
})
