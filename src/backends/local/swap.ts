import { join } from 'node:path'
import type { StorePaths } from './store-file.ts'

/**
 * What a repair has made: the new store.db, and the plan of how it takes the old one's place. The folder gets its name when all in it is
 * durable; from then on the store is the new one, and whoever comes first does what is left to do.
 */
const REPAIRED = 'repaired'
const DATABASE = 'store.db'
const PLAN = 'plan.json'
const OLD_FILES = ['store.db-wal', 'store.db-shm', 'store.db']

interface Plan {
  /** Folder in the store for what is replaced. */
  readonly aside: string
  /** Files in `packs/` that the new database does not name. */
  readonly packs: readonly string[]
}

export function isRepaired({ disk, directory }: StorePaths): boolean {
  return disk.size(join(directory, REPAIRED)) !== null
}

/** Makes `work`, a folder in the store with a whole new store.db in it, what the store is. */
export function decideRepair({ disk, directory }: StorePaths, work: string, plan: Plan): void {
  const path = join(work, PLAN)
  disk.makeText(path, JSON.stringify(plan))
  for (const made of [path, join(work, DATABASE), work]) disk.sync(made)
  disk.rename(work, join(directory, REPAIRED))
  disk.sync(directory)
}

/** Puts the old files aside and the new one in their place; for who holds the store alone. Goes on where another one was cut short. */
export function finishRepair(paths: StorePaths): void {
  const { disk, directory, heads, views } = paths
  const repaired = join(directory, REPAIRED)
  const path = join(repaired, PLAN)
  const plan = disk.readText(path)
  if (plan !== null) {
    const { aside, packs } = JSON.parse(plan) as Plan
    const database = join(repaired, DATABASE)
    if (disk.size(database) !== null) {
      putAside(paths, join(directory, aside), packs)
      // What is known of the old store is of no other, and must not come back beside the new one.
      for (const folder of [heads, views]) {
        for (const name of disk.names(folder)) disk.remove(join(folder, name))
        disk.sync(folder)
      }
      disk.rename(database, join(directory, DATABASE))
      for (const changed of [directory, repaired]) disk.sync(changed)
    }
    disk.remove(path)
  }
  // Nothing depends on when this is durable: who finds the folder once more finds nothing left to do.
  disk.removeEmptyFolder(repaired)
}

/** Durably: an old WAL must never be read together with the new database. */
function putAside({ disk, directory, packs: folder }: StorePaths, kept: string, packs: readonly string[]): void {
  const keptPacks = join(kept, 'packs')
  const move = (from: string, to: string): void => {
    if (disk.size(from) !== null) disk.rename(from, to)
  }
  disk.makeFolder(keptPacks)
  for (const name of OLD_FILES) move(join(directory, name), join(kept, name))
  for (const name of packs) move(join(folder, name), join(keptPacks, name))
  for (const changed of [keptPacks, kept, folder, directory]) disk.sync(changed)
}
