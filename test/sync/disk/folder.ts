import * as nodeFs from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { sha256 } from '../../../src/content/hash.ts'
import { systemFileSystem } from '../../../src/platform/file-system.ts'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { systemClock, systemIds } from '../../../src/platform/system.ts'
import { openIgnore } from '../../../src/sync/disk/ignore.ts'
import { openRoot, writeMarker, type Root } from '../../../src/sync/disk/marker.ts'
import type { DirtyFolder, Observation } from '../../../src/sync/disk/observed.ts'
import { scan } from '../../../src/sync/disk/scan.ts'
import { memoryTree, type MemoryTree } from './memory-tree.ts'

export const disk = systemFileSystem()
export const short = (text: string) => sha256(Buffer.from(text)).slice(0, 8)

/** A real synced folder in the temporary place, with what is known of it. */
export interface TestFolder {
  readonly path: string
  /** A state directory for it. */
  readonly state: string
  readonly root: Root
  readonly tree: MemoryTree
  /** Writes a file, with the folders above it. */
  write(path: string, text: string | Uint8Array, mode?: number): void
  at(path: string): string
  /** Scans, records, and returns what differed. */
  look(
    scope?: readonly DirtyFolder[],
    options?: Partial<Parameters<typeof scan>[0]> & { exclude?: string[] },
  ): Promise<Observation[]>
  remove(): void
}

export async function testFolder(
  base = nodeFs.mkdtempSync(join(tmpdir(), 'blobs-disk-')),
  fs: FileSystem = disk,
): Promise<TestFolder> {
  const path = nodeFs.realpathSync(base)
  const state = nodeFs.mkdtempSync(join(tmpdir(), 'blobs-state-'))
  const id = systemIds.next()
  await writeMarker(fs, path, {
    format: 1,
    id,
    location: '',
    bucket: 'b1',
    prefix: '',
    created: '2026-01-01T00:00:00Z',
  })
  const root = openRoot(disk, path, id)
  const tree = memoryTree()
  const at = (name: string) => join(path, name)
  return {
    path,
    state,
    root,
    tree,
    at,
    write: (name, text, mode) => {
      nodeFs.mkdirSync(dirname(at(name)), { recursive: true })
      nodeFs.writeFileSync(at(name), text, mode === undefined ? {} : { mode })
    },
    look: async (scope, options = {}) => {
      const fs: FileSystem = options.fs ?? disk
      const ignore = openIgnore({ fs, root: path, exclude: options.exclude ?? [] })
      const all: Observation[] = []
      const defaults = { fs, root, scope: scope ?? ('all' as const), known: tree, ignore, clock: systemClock }
      for await (const batch of scan({ ...defaults, ...options })) {
        tree.record(batch)
        all.push(...batch)
      }
      return all
    },
    remove: () => {
      for (const made of [path, state]) nodeFs.rmSync(made, { recursive: true, force: true })
    },
  }
}

/** Observations as short texts, sorted: `!path` ignored, `+path` is here, `-path` gone, `?path reason` unknown. */
export function tell(observations: readonly Observation[]): string[] {
  return observations
    .map(({ path, node }) => {
      if (node.kind === 'unknown') return `?${path} ${node.reason}`
      return { file: '+', folder: '+', absent: '-', ignored: '!' }[node.kind] + path
    })
    .sort()
}
