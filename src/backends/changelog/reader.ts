import type { BackendContext } from '../../store/ports.ts'
import type { Index, Last } from './index-file.ts'
import type { Row, Wire } from './wire.ts'

/** Bytes of a last record above which it is not read again at each look. */
const LARGE = 8192
/** Looks after which it is all the same. */
const LOOKS = 8
/** Records that are taken in together. */
const BATCH = 256

/** Keeps the index up with the server. */
export interface Reader {
  /** Reads what was added before the call. Callers at the same time share it. */
  catchUp(): Promise<void>
}

export function openReader(wire: Wire, index: Index, warn: BackendContext['warn']): Reader {
  let looks = 0
  let running: Promise<void> | null = null
  let next: Promise<void> | null = null
  const read = async (): Promise<void> => {
    const last = index.last()
    // The last record that is known is read again, to see that it is the one it was.
    const check = last.id > 0 && (last.size <= LARGE || looks % LOOKS === 0)
    looks += 1
    if (await readOn(wire, index, last, check)) return
    await index.reset(last)
    warn('the change log went back in time, to a backup perhaps: it is read anew')
    await readOn(wire, index, index.last(), false)
  }
  const run = (): Promise<void> => {
    running = read().finally(() => {
      running = null
    })
    return running
  }
  return {
    catchUp: () => {
      if (running === null) return run()
      // What is under way may have been asked before the caller's last record was added.
      next ??= running
        .catch(() => undefined)
        .then(() => {
          next = null
          return run()
        })
      return next
    },
  }
}

/** False if the server does not have the last record any more. */
async function readOn(wire: Wire, index: Index, last: Last, check: boolean): Promise<boolean> {
  let checked = !check
  let batch: Row[] = []
  for await (const rows of wire.changes(check ? last.id - 1 : last.id)) {
    const [first] = rows
    if (!checked && (first?.id !== last.id || first.key !== last.key)) return false
    checked = true
    batch.push(...rows)
    if (batch.length < BATCH) continue
    await index.add(batch)
    batch = []
  }
  if (batch.length > 0) await index.add(batch)
  return checked
}
