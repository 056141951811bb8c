/** Times of very many requests in little memory: each is kept to within one percent. */
export interface Histogram {
  add(milliseconds: number): void
  readonly count: number
  readonly max: number
  /** The time within which so many percent of all were done; NaN while there are none. */
  percentile(percent: number): number
}

/** Each class of times begins one percent above the one before it; the first holds what took less than a microsecond. */
const STEP = Math.log(1.01)
const SHORTEST = 0.001

export function openHistogram(): Histogram {
  const classes: number[] = []
  let count = 0
  let max = 0
  return {
    add: (milliseconds) => {
      const index = Math.max(0, Math.ceil(Math.log(milliseconds / SHORTEST) / STEP))
      classes[index] = (classes[index] ?? 0) + 1
      count += 1
      max = Math.max(max, milliseconds)
    },
    get count() {
      return count
    },
    get max() {
      return max
    },
    percentile: (percent) => {
      let left = Math.max(1, Math.ceil((count * percent) / 100))
      for (const [index, held = 0] of classes.entries()) {
        left -= held
        if (left <= 0) return Math.min(max, SHORTEST * Math.exp(index * STEP))
      }
      return Number.NaN
    },
  }
}
