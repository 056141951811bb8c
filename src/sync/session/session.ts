import { BlobsError } from '../../store/contract/errors.ts'
import type { DirtyFolder } from '../disk/observed.ts'
import { catchUp, feedApplier, linkEmpty } from '../remote/catch-up.ts'
import type { FeedItem } from '../../store/contract/types.ts'
import { getMeta, setMeta, write } from '../state/open.ts'
import { unparkAll } from '../state/parking.ts'
import { isEmpty } from '../state/rows.ts'
import type { Progress as Moves } from './advance.ts'
import { openEarly, type Early } from './early.ts'
import { openFailures, type Failures } from './failures.ts'
import { openObserver, type Observer, type Scope } from './observe.ts'
import type { Verdict } from './planning.ts'
import type { SessionPorts } from './ports.ts'
import { openProgress } from './progress.ts'
import type { RoundContext } from './pushing.ts'
import { recover } from './recover.ts'
import { round, type RoundResult } from './round.ts'
import { count, newTally, type Tally } from './tally.ts'

/** More rounds than this are a mistake of ours: stop rather than circle. */
const MOST_ROUNDS = 200
/** Rounds that follow each other at once; later ones leave the disk some time to come to rest. */
const QUICK_ROUNDS = 5

export interface CycleScope {
  readonly local: Scope
  /** Whether the bucket is asked for news; false while a live feed tells them. */
  readonly remote: boolean
}
export interface CycleResult {
  /** Look again at `folders` after so many milliseconds, for what waits for time; null: nothing does. */
  readonly wait: { readonly inMs: number; readonly folders: readonly DirtyFolder[] } | null
  readonly braked: boolean
}

/** Both sides of a pairing and the cycle that makes them the same. One cycle at a time: callers see to it. */
export interface Session {
  readonly ports: SessionPorts
  readonly observer: Observer
  readonly failures: Failures
  readonly tally: Tally
  /**
   * Observes both sides within the scope, plans, does it, and repeats until nothing moves. Throws what concerns a side as a whole
   * (`Unavailable`, `Unauthenticated`, `Refused` …); what was done by then is saved. Aborting ends it after the batch in hand.
   */
  cycle(scope: CycleScope, signal?: AbortSignal): Promise<CycleResult>
  /** Observes both sides and plans nothing. */
  observe(signal?: AbortSignal): Promise<void>
  /** Takes an item of a live feed in; true when there is news to act on. */
  feed(item: FeedItem): boolean
}

export function openSession(given: SessionPorts): Session {
  const tally = newTally()
  const ports: SessionPorts = {
    ...given,
    onEvent: (event) => {
      count(tally, event)
      given.onEvent(event)
    },
  }
  const observer = openObserver(ports)
  const failures = openFailures(ports.db, ports.clock)
  const progress = openProgress(ports.clock, ports.onEvent)
  const session = { ports, observer, failures, tally, progress, sendWhole: new Set<string>(), told: new Set<string>() }
  const feed = feedApplier({ bucket: ports.bucket, db: ports.db, ignores: observer.ignores })
  const brakes = brakeTeller(ports)
  const rounds = async (scope: CycleScope, signal: AbortSignal | undefined): Promise<CycleResult> => {
    const unsteady = new Map<string, number>()
    let next = scope
    for (let n = 0; n < MOST_ROUNDS; n++) {
      const context = { ...session, unsteady, signal }
      const moves = noMoves(context)
      await observeBoth(ports, observer, next, { signal, early: () => openEarly(context, moves) })
      if (signal?.aborted) break
      // What was sent so early is in what the round looks at.
      const result = await round(context, { ...moves, moved: false })
      brakes(result.verdict)
      if (signal?.aborted) break
      const late = await ports.disk.lateWrites()
      if (late.length > 0) write(ports.db, () => observer.take(late))
      if (isQuiet(result, observer) && late.length === 0) return finish(session, scope, result)
      if (n >= QUICK_ROUNDS) await ports.clock.sleep(50, signal)
      const rules = observer.rulesChanged()
      next = { local: rules ? 'all' : result.dirty, remote: scope.remote || result.lookRemote }
    }
    if (signal?.aborted) return { wait: null, braked: false }
    throw new BlobsError(
      'Unavailable',
      `the folder does not come to rest: ${MOST_ROUNDS} rounds and both sides still differ`,
      {
        hint: 'something keeps changing it; blobs status lists the paths that differ',
      },
    )
  }
  return {
    ports,
    observer,
    failures,
    tally,
    feed,
    observe: (signal) => observeBoth(ports, observer, { local: 'all', remote: true }, { signal }),
    cycle: async (given, signal) => {
      const unclear = ports.disk.unclear()
      if (unclear) await recover(ports)
      const scope: CycleScope = unclear ? { ...given, local: 'all' } : given
      if (scope.local === 'all') write(ports.db, () => unparkAll(ports.db))
      try {
        return await rounds(scope, signal)
      } finally {
        progress.settle()
      }
    },
  }
}

function isQuiet(result: RoundResult, observer: Observer): boolean {
  return !result.moved && !result.lookRemote && result.dirty.length === 0 && !observer.rulesChanged()
}

interface Looking {
  readonly signal: AbortSignal | undefined
  /** What may be done before all was seen; unless given, nothing is. */
  readonly early?: (() => Early | null) | undefined
}

/** The first link looks at the disk before it lists the bucket: the listing tells which files are merely old. Where there is nothing to list, there are none. */
async function observeBoth(
  ports: SessionPorts,
  observer: Observer,
  scope: CycleScope,
  { signal, early }: Looking,
): Promise<void> {
  const options = {
    bucket: ports.bucket,
    db: ports.db,
    ignores: observer.ignores,
    onRelink: (why: string) => ports.onEvent({ type: 'relinked', why }),
    ...(signal === undefined ? {} : { signal }),
  }
  const linked = isEmpty(ports.db) && getMeta(ports.db, 'cursor') === null && (await linkEmpty(options))
  // Before the bucket was read nobody knows its rules.
  const known = linked || !scope.remote
  if (scope.local === 'all' || scope.local.length > 0)
    await lookAndSend(observer, scope.local, { signal, ...(known ? { early } : {}) })
  if (signal?.aborted) return
  if (scope.remote || getMeta(ports.db, 'cursor') === null) await catchUp(options)
}

async function lookAndSend(observer: Observer, scope: Scope, { signal, early }: Looking): Promise<void> {
  const sending = early?.() ?? null
  try {
    await observer.look(scope, signal, sending?.saw)
    await sending?.seen()
  } finally {
    await sending?.end()
  }
}

/** Of a round that found out nothing yet. */
function noMoves({ unsteady, sendWhole }: RoundContext): Moves {
  return { moved: false, lookRemote: false, dirty: new Set(), unsteady, sendWhole }
}

function finish(
  session: { readonly ports: SessionPorts; readonly observer: Observer; readonly failures: Failures },
  scope: CycleScope,
  result: RoundResult,
): CycleResult {
  const { ports } = session
  if (scope.local === 'all' && scope.remote) {
    write(ports.db, () => setMeta(ports.db, 'verified', new Date(ports.clock.now()).toISOString()))
  }
  return { wait: result.wait, braked: result.verdict.brakes.length > 0 }
}

/** Tells of a brake once, and again when another set waits. */
function brakeTeller(ports: SessionPorts): (verdict: Verdict) => void {
  let before = ''
  return (verdict) => {
    const now = verdict.brakes.map(({ side, steps }) => `${side} ${steps.length}`).join()
    if (now !== before) {
      for (const { side, steps } of verdict.brakes) ports.onEvent({ type: 'brake', side, count: steps.length })
    }
    before = now
  }
}
