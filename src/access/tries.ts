/** Counts what each address tries in vain, so that it must wait after too many. */
export interface Tries {
  /** Milliseconds until this address may try again; 0: now. */
  waitOf(from: string): number
  count(from: string): void
}

interface TriesOptions {
  /** Vain tries that one address may make within `window` milliseconds of the first. */
  readonly most: number
  readonly window: number
  /** Milliseconds that only go forward. */
  readonly elapsed: () => number
}

/** Addresses that are remembered; the oldest are forgotten first. */
const ADDRESSES = 10_000

export function openTries({ most, window, elapsed }: TriesOptions): Tries {
  const known = new Map<string, { since: number; count: number }>()
  return {
    waitOf: (from) => {
      const one = known.get(neighbourhood(from))
      if (one === undefined || one.count < most) return 0
      return Math.max(0, one.since + window - elapsed())
    },
    count: (from) => {
      const name = neighbourhood(from)
      const one = known.get(name)
      if (one !== undefined && elapsed() - one.since < window) {
        one.count += 1
        return
      }
      // The map's order is that of the first tries.
      known.delete(name)
      known.set(name, { since: elapsed(), count: 1 })
      const [oldest] = known.keys()
      if (known.size > ADDRESSES && oldest !== undefined) known.delete(oldest)
    },
  }
}

/** Whether it is this machine's own: a proxy or a tunnel may stand there, behind which everybody comes from this address. */
export function isOwnAddress(address: string): boolean {
  return /^(::ffff:)?127\.|^::1$/.test(address)
}

/** Whoever has one IPv6 address has the 2^64 beside it too. */
function neighbourhood(address: string): string {
  if (!address.includes(':') || address.startsWith('::ffff:')) return address
  const [head = '', tail] = (address.split('%', 1)[0] ?? '').split('::')
  const groups = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - groups.length - last.length)).fill('0')
  return [...groups, ...zeros, ...last].slice(0, 4).join(':')
}
