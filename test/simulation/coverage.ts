/** What happened in histories, by name: a kind of fault that never came shows as one that is missing. */
export interface Coverage {
  count(name: string): void
  add(other: Coverage): void
  entries(): readonly (readonly [name: string, count: number])[]
}

export function openCoverage(): Coverage {
  const counts = new Map<string, number>()
  const count = (name: string, by = 1): void => void counts.set(name, (counts.get(name) ?? 0) + by)
  return {
    count: (name) => count(name),
    add: (other) => {
      for (const [name, by] of other.entries()) count(name, by)
    },
    entries: () => [...counts].sort(([a], [b]) => (a < b ? -1 : 1)),
  }
}
