import { sha256 } from '../../../content/hash.ts'
import type { Latest, ManifestLog } from './log.ts'
import { findOverwritten, type Overwritten } from './overwritten.ts'
import { siblingKey } from './sibling.ts'
import type { Files, Update } from './state.ts'
import type { Values } from './values.ts'

/** Versions and entries of ours that are looked after. */
const REMEMBERED = 1000

/** Looks after what lost its name to a write that had not seen it, where this process had a part in it. */
export interface Rescue {
  /** Versions and names of entries that this process wrote. */
  remember(made: Iterable<string>): void
  /** Gives what was lost a name; true if there was something. Several processes do the same, and it is the same for all. */
  restore(found: Latest): Promise<boolean>
}

interface RescueOptions {
  readonly log: ManifestLog
  readonly values: Values
  /** What the names of its keys start with in a manifest. */
  readonly root: string
}

export function openRescue({ log, values, root }: RescueOptions): Rescue {
  const ours = new Set<string>()
  const done = new Set<string>()
  const remember: Rescue['remember'] = (made) => {
    for (const one of made) ours.add(one)
    for (const old of [...ours].slice(0, Math.max(0, ours.size - REMEMBERED))) ours.delete(old)
  }
  const write = async (decide: (files: Files) => Update): Promise<void> => {
    const written = await log.write(decide)
    if (written !== null) remember([written.key])
  }
  const rescue = async ({ ref, version, time, by }: Overwritten): Promise<void> => {
    const key = ref.slice(root.length)
    const bytes = await values.get(key, version)
    if (bytes === null) return
    // A delete that had not seen the edit: the edit stands.
    if (by === null) return write((files) => (files.has(ref) ? new Map() : new Map([[ref, version]])))
    const winner = await values.get(key, by)
    if (winner !== null && Buffer.from(winner).equals(bytes)) return
    const sibling = siblingKey(key, time, sha256(bytes))
    const made = await values.put(sibling, bytes)
    remember([made])
    await write((files) => (files.has(root + sibling) ? new Map() : new Map([[root + sibling, made]])))
  }
  return {
    remember,
    restore: async ({ entries }) => {
      const lost = findOverwritten(entries).filter(
        ({ ref, version, entry }) =>
          ref.startsWith(root) && (ours.has(version) || ours.has(entry)) && !done.has(version),
      )
      for (const one of lost) {
        await rescue(one)
        done.add(one.version)
      }
      return lost.length > 0
    },
  }
}
