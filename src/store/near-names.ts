const MOST = 3

/** The names that somebody who typed `name` may have meant, best first. */
export function nearNames(name: string, names: readonly string[]): readonly string[] {
  const tolerated = Math.max(1, Math.floor(name.length / 3))
  return names
    .map((candidate) => ({ candidate, distance: isPart(name, candidate) ? 1 : distance(name, candidate) }))
    .filter((near) => near.distance <= tolerated)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, MOST)
    .map((near) => near.candidate)
}

function isPart(name: string, candidate: string): boolean {
  return name.length >= 3 && (candidate.startsWith(name) || name.startsWith(candidate))
}

/** How many letters must be added, dropped, replaced or swapped with their neighbour. */
function distance(a: string, b: string): number {
  let older: number[] = []
  let before = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(at(before, j) + 1, at(row, j - 1) + 1, at(before, j - 1) + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) best = Math.min(best, at(older, j - 2) + 1)
      row.push(best)
    }
    older = before
    before = row
  }
  return at(before, b.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY
}
