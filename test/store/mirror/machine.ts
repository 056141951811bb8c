import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openLocal } from '../../../src/backends/local/local.ts'
import { openMemory } from '../../../src/backends/memory/memory.ts'
import { systemStoreDisk as disk } from '../../../src/platform/store-disk.ts'
import { systemClock as clock, systemIds as ids } from '../../../src/platform/system.ts'
import type { Buckets } from '../../../src/store/contract/blob-store.ts'
import type { Backend } from '../../../src/store/ports.ts'
import { openMirror, type MirrorOptions } from '../../../src/store/mirror/mirror.ts'
import { openMemoryForeign, type MemoryPlace } from './memory-foreign.ts'

/** A machine with mirrors of a place; each opening is as another process of it. */
export interface MirrorMachine {
  readonly home: string
  /** `wrapped` stands between a shadow and its place. */
  open(options?: Partial<MirrorOptions>, wrapped?: (backend: Backend) => Backend): Buckets
  dispose(): Promise<void>
}

/** With `inMemory` its shadows are no files, and so not for several processes. */
export function mirrorMachine(place: MemoryPlace, { inMemory = false } = {}): MirrorMachine {
  const shadows = new Map<string, Backend>()
  const openShadow = async (directory: string): Promise<Backend> => {
    if (!inMemory) return openLocal({ directory, clock })
    const shadow = shadows.get(directory) ?? openMemory()
    shadows.set(directory, shadow)
    return { ...shadow, close: async () => undefined }
  }
  const home = mkdtempSync(join(tmpdir(), 'blobs-mirror-'))
  const opened: Buckets[] = []
  return {
    home,
    open: (options = {}, wrapped = (backend) => backend) => {
      const buckets = openMirror({
        foreign: openMemoryForeign(place),
        show: (name) => `memory://place/${name}`,
        stateDirectory: join(home, 'state'),
        openShadow: async (directory) => wrapped(await openShadow(directory)),
        singleWriter: true,
        clock,
        ids,
        disk,
        warn: () => undefined,
        ...options,
      })
      opened.push(buckets)
      return buckets
    },
    dispose: async () => {
      for (const buckets of opened) await buckets.close()
      rmSync(home, { recursive: true })
    },
  }
}
