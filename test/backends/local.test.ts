import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLocal } from '../../src/backends/local/local.ts'
import { systemClock as clock } from '../../src/platform/system.ts'
import { backendConformance } from './conformance.ts'

backendConformance('local', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'blobs-local-'))
  return {
    open: () => openLocal({ directory, clock, packBytes: 1024 * 1024 }),
    drop: () => rm(directory, { recursive: true }),
  }
})
