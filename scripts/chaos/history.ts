/**
 * What clients saw of keys whose every version is numbered, and whether one order of it all explains it: each operation at one moment between its
 * beginning and its end. The versions are the order of the writes, so looking for it takes no search.
 */
export interface Operation {
  readonly client: string
  readonly key: string
  /** A write that was refused because another version stood there is a read of that one. */
  readonly kind: 'write' | 'read'
  /** What was made or seen; 0 and '' for a key that never was. */
  readonly version: number
  /** Id of the entry that made it. */
  readonly entry: string
  /** By one clock. */
  readonly began: number
  readonly ended: number
  /** It was said that it may be: then it is true of some earlier moment. */
  readonly stale: boolean
}

/** A write of which nobody knows what became: it may have happened at any time after it began, or never. */
export interface Unknown {
  readonly key: string
  readonly entry: string
  readonly began: number
}

/** What is there at the end: the id of the entry that made each version, from the first on, of each key. */
type Chains = ReadonlyMap<string, readonly string[]>

export interface History {
  readonly operations: readonly Operation[]
  readonly unknown: readonly Unknown[]
  readonly chains: Chains
}

/** What no order explains, in words; empty if one explains it all. */
export function faultsIn({ operations, unknown, chains }: History): readonly string[] {
  const faults: string[] = []
  const begun = new Map(
    [...operations.filter(({ kind }) => kind === 'write'), ...unknown].map((one) => [one.entry, one]),
  )
  for (const [key, chain] of chains) faults.push(...chainFaults(key, chain, begun))
  for (const operation of operations) faults.push(...ownFaults(operation, chains, begun))
  const fresh = operations.filter(({ stale }) => !stale)
  for (const key of new Set(fresh.map((operation) => operation.key))) {
    faults.push(...orderFaults(fresh.filter((operation) => operation.key === key)))
  }
  return faults
}

function chainFaults(key: string, chain: readonly string[], begun: ReadonlyMap<string, Begun>): readonly string[] {
  const faults = chain.filter((entry) => begun.get(entry)?.key !== key).map((entry) => `${key}: nobody wrote ${entry}`)
  if (new Set(chain).size < chain.length) faults.push(`${key}: an entry made two versions`)
  return faults
}

type Begun = Pick<Operation, 'key' | 'began'>

/** An operation by itself: what it tells of must be there, and must have been begun before it was told. */
function ownFaults(operation: Operation, chains: Chains, begun: ReadonlyMap<string, Begun>): readonly string[] {
  const { key, version, entry, kind, ended } = operation
  if (version === 0) return kind === 'read' ? [] : [`${say(operation)}: a write makes a version`]
  const there = chains.get(key)?.[version - 1]
  if (there === undefined) return [`${say(operation)}: there is no such version at the end`]
  if (there !== entry) return [`${say(operation)}: that version is of ${there} at the end`]
  return (begun.get(entry)?.began ?? Number.NEGATIVE_INFINITY) > ended
    ? [`${say(operation)}: it was not begun yet`]
    : []
}

/** In the order of their versions, writes before reads, none may end before one that comes earlier in the order began. */
function orderFaults(operations: readonly Operation[]): readonly string[] {
  const rank = ({ kind }: Operation): number => (kind === 'write' ? 0 : 1)
  const ordered = operations.toSorted((a, b) => a.version - b.version || rank(a) - rank(b) || a.began - b.began)
  const faults: string[] = []
  let latest: Operation | null = null
  for (const operation of ordered) {
    if (latest !== null && operation.ended < latest.began) {
      faults.push(
        `${say(operation)} ended at ${at(operation.ended)}, before this began: ${say(latest)} at ${at(latest.began)}`,
      )
    }
    if (latest === null || operation.began > latest.began) latest = operation
  }
  return faults
}

function say({ client, kind, key, version, entry }: Operation): string {
  return `${client}'s ${kind} of ${key}, version ${version} (${entry.slice(0, 8)})`
}

function at(time: number): string {
  return `${(time / 1000).toFixed(3)} s`
}
