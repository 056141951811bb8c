/** CPU profiles of V8, added up by who called whom. Pure. */

export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

/** A function as it was called from where it stands in the tree; times in microseconds. */
export interface Frame {
  readonly name: string
  /** The file it is in, as `src/…`, a package's name, or `node`. */
  readonly source: string
  self: number
  total: number
  readonly calls: Map<string, Frame>
}

/** Names the source of a line of a bundle. */
export type SourceOf = (url: string, line: number) => string

const NOT_WORK: ReadonlySet<string> = new Set(['(idle)', '(program)', '(root)'])

export function newTree(): Frame {
  return { name: 'all', source: '', self: 0, total: 0, calls: new Map() }
}

/** Adds a profile. Time that nothing ran is left out. */
export function addProfile(root: Frame, profile: CpuProfile, sourceOf: SourceOf): void {
  const times = new Map<number, number>()
  for (const [index, id] of profile.samples.entries()) {
    times.set(id, (times.get(id) ?? 0) + Math.max(0, profile.timeDeltas[index] ?? 0))
  }
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]))
  const add = (id: number, parent: Frame): number => {
    const node = nodes.get(id)
    if (node === undefined) return 0
    const { functionName, url, lineNumber } = node.callFrame
    const name = functionName === '' ? '(anonymous)' : functionName
    if (name === '(idle)' || name === '(program)') return 0
    const frame = NOT_WORK.has(name) ? parent : child(parent, name, sourceOf(url, lineNumber))
    let total = frame === parent ? 0 : (times.get(id) ?? 0)
    if (frame !== parent) frame.self += total
    for (const below of node.children ?? []) total += add(below, frame)
    if (frame !== parent) frame.total += total
    return total
  }
  const [first] = profile.nodes
  if (first !== undefined) root.total += add(first.id, root)
}

function child(parent: Frame, name: string, source: string): Frame {
  const key = `${name} ${source}`
  const known = parent.calls.get(key)
  if (known !== undefined) return known
  const made: Frame = { name, source, self: 0, total: 0, calls: new Map() }
  parent.calls.set(key, made)
  return made
}

export interface Share {
  readonly name: string
  /** Of all time that something ran, 0 to 1. */
  readonly share: number
}

/** Self time by whatever `nameOf` gives, most first. */
export function topOf(root: Frame, nameOf: (frame: Frame) => string, count: number): Share[] {
  const sums = new Map<string, number>()
  const visit = (frame: Frame): void => {
    if (frame.self > 0) sums.set(nameOf(frame), (sums.get(nameOf(frame)) ?? 0) + frame.self)
    for (const below of frame.calls.values()) visit(below)
  }
  visit(root)
  return [...sums]
    .map(([name, self]) => ({ name, share: self / root.total }))
    .toSorted((a, b) => b.share - a.share)
    .slice(0, count)
}

/** The room of a source: two folders of `src`, or the package. */
export function roomOf({ name, source }: Frame): string {
  if (name === '(garbage collector)') return 'garbage collector'
  const [first = '', second = '', third] = source.split('/')
  return first === 'src' && third !== undefined ? `${first}/${second}` : source
}
