import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { driverSuite } from './driver-suite.ts'

driverSuite('folder', async () => {
  const all = mkdtempSync(join(tmpdir(), 'blobs-folder-'))
  return {
    place: async () => `folder://${mkdtempSync(join(all, 'place-'))}`,
    stop: async () => rmSync(all, { recursive: true }),
  }
})
