/** Bytes of a slab: what has to lie together must fit into one. No chunk is larger. */
export const SLAB_BYTES = 1024 * 1024

/**
 * Memory that is lent, given back and lent again. Fresh memory for each chunk would be collected long after its use: a stream of any
 * length would hold tens of MiB of what is over.
 */
export interface Slabs {
  /** Lends one, with whatever is in it; null while all are lent, or others wait in line. */
  take(): Uint8Array | null
  /** Lends one when its turn comes. Rejects with the signal's reason. */
  borrow(signal?: AbortSignal): Promise<Uint8Array>
  /** Ends loans. `untouched`: nobody looks at them any more, so they may be lent again; otherwise their memory is left alone. */
  giveBack(slabs: readonly Uint8Array[], untouched: boolean): void
}
interface SlabsOptions {
  /** Slabs lent at once; any number unless given. */
  readonly most?: number
  /** Free slabs that are kept for the next loan. */
  readonly kept: number
}

export function openSlabs({ most = Number.POSITIVE_INFINITY, kept }: SlabsOptions): Slabs {
  const waiting: Uint8Array[] = []
  const line: ((slab: Uint8Array) => void)[] = []
  let lent = 0
  const lend = (): Uint8Array => {
    lent += 1
    return waiting.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES)
  }
  const serve = (): void => {
    const turn = lent < most ? line.shift() : undefined
    if (turn === undefined) return
    turn(lend())
    serve()
  }
  return {
    take: () => (lent < most && line.length === 0 ? lend() : null),
    borrow: (signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) return void reject(signal.reason)
        const turn = (slab: Uint8Array): void => {
          signal?.removeEventListener('abort', leave)
          resolve(slab)
        }
        const leave = (): void => {
          line.splice(line.indexOf(turn), 1)
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', leave, { once: true })
        line.push(turn)
        return serve()
      }),
    giveBack: (slabs, untouched) => {
      lent -= slabs.length
      for (const slab of untouched ? slabs : []) {
        if (waiting.length < kept) waiting.push(slab)
        else free(slab)
      }
      serve()
    },
  }
}

/** Room for pieces of bytes, side by side in as few slabs as it takes. */
export interface Shelf {
  /** Room for so many bytes, at most `SLAB_BYTES`; null when that takes a slab that is not to be had now. */
  room(length: number): Uint8Array | null
  /** Takes over a slab that was borrowed: the next room is in it. */
  add(slab: Uint8Array): void
  /** Gives all slabs back, see `Slabs.giveBack`. */
  clear(untouched: boolean): void
}

export function openShelf(slabs: Slabs): Shelf {
  let held: Uint8Array[] = []
  let used = 0
  const add = (slab: Uint8Array): void => {
    held.push(slab)
    used = 0
  }
  return {
    room: (length) => {
      if (held.length === 0 || used + length > SLAB_BYTES) {
        const slab = slabs.take()
        if (slab === null) return null
        add(slab)
      }
      used += length
      return held.at(-1)?.subarray(used - length, used) ?? null
    },
    add,
    clear: (untouched) => {
      const all = held
      held = []
      slabs.giveBack(all, untouched)
    },
  }
}

/**
 * Gives the memory of bytes back now: what waits to be collected may come to tens of MiB while a large blob passes. Only for bytes
 * that nobody else has, and nobody looks at any more.
 */
export function free({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}
