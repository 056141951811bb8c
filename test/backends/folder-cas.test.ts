import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { splitPlace } from '../../src/locations/target.ts'
import { addressSuite } from './address-suite.ts'

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
