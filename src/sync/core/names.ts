import { comparePaths, utf8Length } from './order.ts'
import type { Path, Reason } from './types.ts'

/** What this folder's disk makes of names. */
export interface NameTraits {
  /** `A` and `a` are one name. */
  readonly caseBlind: boolean
  /** Names follow the rules of Windows. */
  readonly windows: boolean
}

/** One of the names in a folder: of a file, or of a folder with something in it. */
export interface Sibling {
  readonly name: string
  readonly onDisk: boolean
  /** Some path under this name was in sync once. */
  readonly known: boolean
}

const MAX_SEGMENT_BYTES = 255
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])$/i
// oxlint-disable-next-line no-control-regex -- control characters are what Windows refuses
const WINDOWS_CHARACTER = /[\u0000-\u001f<>:"|?*\\]/
const WINDOWS_SHORT_NAME = /^blobs~[0-9]+$/i

/**
 * Why `path` can be on no disk with these traits, or null. `name-reserved` covers all that would lead out of the folder or into
 * `.blobs`. Clashes between names are another matter: `clashes`.
 */
export function unfit(path: Path, traits: NameTraits): Reason | null {
  if (!path.isWellFormed()) return 'name-not-unicode'
  const segments = (path.endsWith('/') ? path.slice(0, -1) : path).split('/')
  if (isOurs(segments[0] ?? '', traits)) return 'name-reserved'
  for (const segment of segments) {
    const reason = unfitSegment(segment, traits)
    if (reason !== null) return reason
  }
  return null
}

function unfitSegment(segment: string, traits: NameTraits): Reason | null {
  if (segment === '' || segment === '.' || segment === '..' || segment.includes('\0')) return 'name-reserved'
  if (utf8Length(segment) > MAX_SEGMENT_BYTES) return 'name-too-long'
  if (!traits.windows) return null
  if (WINDOWS_CHARACTER.test(segment) || /[. ]$/.test(segment)) return 'name-reserved'
  return WINDOWS_DEVICE.test((segment.split('.')[0] ?? '').trimEnd()) ? 'name-reserved' : null
}

// On every disk, and folded as the most lenient one does: a bucket is shared, and `.BLOBS` is `.blobs` somewhere.
function isOurs(first: string, traits: NameTraits): boolean {
  return fold(first) === '.blobs' || (traits.windows && WINDOWS_SHORT_NAME.test(first))
}

/**
 * Names in one folder with equal keys cannot be on this disk together. Spellings that differ in Unicode form alone always clash,
 * since keys are in form C. Case-blind file systems disagree about rare letters; this takes the widest view, because a name that
 * is listed without need does less harm than one that replaces another.
 */
export function clashKey(segment: string, traits: NameTraits): string {
  return traits.caseBlind ? fold(segment) : segment.normalize('NFC')
}

// Upper then lower takes ß to ss and both sigmas to one; the ignorable characters are those that ext4 and HFS+ drop.
function fold(segment: string): string {
  const seen = segment.replaceAll(/\p{Default_Ignorable_Code_Point}/gu, '')
  return seen.normalize('NFD').toUpperCase().toLowerCase().normalize('NFC')
}

/** Orders names so that those which clash are neighbours and the one that keeps the name comes first: on disk, known, first by bytes. */
export function compareSiblings(a: Sibling, b: Sibling, traits: NameTraits): number {
  const byKey = comparePaths(clashKey(a.name, traits), clashKey(b.name, traits))
  if (byKey !== 0) return byKey
  return Number(b.onDisk) - Number(a.onDisk) || Number(b.known) - Number(a.known) || comparePaths(a.name, b.name)
}

/**
 * The names that must stay away from this disk (`name-clash`), given one folder's names as `compareSiblings` orders them. What is
 * below such a name clashes with it: on a case-blind disk `dir/x` would land in `Dir`.
 */
export function* clashes(sorted: Iterable<Sibling>, traits: NameTraits): Iterable<string> {
  let previous: string | null = null
  for (const { name } of sorted) {
    const key = clashKey(name, traits)
    if (key === previous) yield name
    previous = key
  }
}
