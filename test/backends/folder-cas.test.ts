import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { splitPlace } from '../../src/locations/target.ts'
import { addressesAt, addressSuite, bytesOf, inPieces } from './address-suite.ts'

addressSuite(
  'folder+cas',
  async () => {
    const all = mkdtempSync(join(tmpdir(), 'blobs-cas-'))
    return {
      place: async () => `folder+cas://${mkdtempSync(join(all, 'place-'))}`,
      stop: async () => rmSync(all, { recursive: true }),
    }
  },
  {
    damage: async (url, hash) => {
      const path = join(splitPlace(url).path, hash)
      const bytes = readFileSync(path)
      bytes[100] = (bytes[100] ?? 0) ^ 1
      writeFileSync(path, bytes)
    },
  },
)

it('a file that was cut short is replaced by the next who puts its bytes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'blobs-cas-'))
  const store = await addressesAt(`folder+cas://${folder}`)
  const bytes = Buffer.from('all of them')
  const { hash, size } = await store.put(inPieces(bytes, 4))
  truncateSync(join(folder, hash), 3)
  await expect(bytesOf(store, hash)).rejects.toMatchObject({ code: 'Corrupt' })
  await store.put(inPieces(bytes, 4), { expected: { hash, size } })
  expect(await bytesOf(store, hash)).toEqual(bytes)
  rmSync(folder, { recursive: true })
})
