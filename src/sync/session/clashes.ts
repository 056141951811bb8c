import { clashes, compareSiblings, type Sibling } from '../core/names.ts'
import type { Path } from '../core/types.ts'
import { namesIn } from '../state/names.ts'
import type { SessionPorts } from './ports.ts'

/** Tells of a path whether it, or a folder above it, clashes with another name on this disk; each folder is looked at once. */
export function clashing({ db, traits }: SessionPorts): (path: Path) => boolean {
  // In a bucket two keys never differ in Unicode form alone.
  if (!traits.caseBlind) return () => false
  const known = new Map<Path, ReadonlySet<string>>()
  const away = (folder: Path): ReadonlySet<string> => {
    const before = known.get(folder)
    if (before !== undefined) return before
    const names: Sibling[] = namesIn(db, folder).sort((a, b) => compareSiblings(a, b, traits))
    const found = new Set(clashes(names, traits))
    known.set(folder, found)
    return found
  }
  return (path) => {
    const segments = (path.endsWith('/') ? path.slice(0, -1) : path).split('/')
    return segments.some((name, index) => away(segments.slice(0, index).join('/')).has(name))
  }
}
