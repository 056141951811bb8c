import { sha256 } from '../content/hash.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { checkEntry, checkOptions } from './accept.ts'
import { checkBytes, checkPresent, type NamedBody } from './bodies.ts'
import type { CommitOptions } from './contract/blob-store.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'
import type { BucketOptions, EntryInput, Outcome } from './contract/types.ts'
import { draftsOf, type Writer } from './drafts.ts'
import { encodeEntry, type Entry } from './entry.ts'
import type { Follower } from './follow.ts'
import { judge, type Draft, type Verdict } from './judge.ts'
import type { BucketPorts, Log, Position, RawEntry } from './ports.ts'
import type { Witness } from './witness.ts'

/** Appends entries; those of callers at the same time go into the log together. */
export interface Committer {
  commit(entries: readonly EntryInput[], options: CommitOptions): Promise<readonly Outcome[]>
  /** Checks as `commit` does, and throws as it does; gives the outcomes that are known without appending, by id. */
  foresee(entries: readonly EntryInput[], options: CommitOptions): Promise<ReadonlyMap<string, Outcome>>
  configure(name: string, options: BucketOptions): Promise<void>
  /** Resolves when nothing is being appended. */
  settled(): Promise<void>
}

export interface CommitterOptions {
  readonly ports: BucketPorts
  readonly follower: Follower
  /** Saw bodies as they were staged. */
  readonly witness: Witness
  readonly maxEntryBytes: number
  readonly writer: Writer
  readonly clock: Clock
  readonly ids: Ids
  /** Called when something was appended and read; what it begins goes on by itself. */
  readonly appended: () => void
}

interface Job {
  readonly drafts: readonly Draft[]
  /** What `judge` said to the drafts when the view was at a position; null: it was not asked. */
  readonly judged: { readonly verdicts: readonly Verdict[]; readonly position: Position } | null
  readonly outcomes: Map<string, Outcome>
  readonly settle: (error?: unknown) => void
}

export function openCommitter(options: CommitterOptions): Committer {
  let queue: Job[] = []
  let working: Promise<void> | null = null
  const work = async (): Promise<void> => {
    while (queue.length > 0) {
      const jobs = queue
      queue = []
      await appendJobs(options, jobs).then(
        () => jobs.forEach((job) => job.settle()),
        (error: unknown) => jobs.forEach((job) => job.settle(error)),
      )
    }
    working = null
  }
  const oneByOne = openTurns()
  const enqueue = (job: Omit<Job, 'settle'>): Promise<void> =>
    new Promise((resolve, reject) => {
      const settle = (error?: unknown): void => (error === undefined ? resolve() : reject(error))
      queue.push({ ...job, settle })
      working ??= work()
    })
  const check = async (
    entries: readonly EntryInput[],
    { verify = false, signal }: CommitOptions,
  ): Promise<Omit<Job, 'settle'>> => {
    const outcomes = new Map<string, Outcome>()
    const { drafts, judged } = await prepare(options, entries, outcomes)
    const bodies = drafts.flatMap(namedBodies)
    const pause = async (): Promise<void> => {
      signal?.throwIfAborted()
      await options.clock.sleep(0)
    }
    const { content } = options.ports
    await (verify ? checkBytes(content, bodies, pause, options.witness) : checkPresent(content, bodies, pause))
    return { drafts, judged, outcomes }
  }
  return {
    commit: (entries, checks) =>
      oneByOne(
        entries.map(({ id }) => id),
        async () => {
          const job = await check(entries, checks)
          if (job.drafts.length > 0) await enqueue(job)
          return entries.map(({ id }) => outcomeOf(job.outcomes, id))
        },
      ),
    foresee: async (entries, checks) => (await check(entries, checks)).outcomes,
    configure: async (name, wanted) => {
      checkOptions(wanted)
      const created = await options.follower.read((view) => view.state().created)
      const draft = {
        ...options.writer,
        id: options.ids.next(),
        changes: [],
        bucket: { name, created, options: wanted },
      }
      await enqueue({ drafts: [draft], judged: null, outcomes: new Map() })
    },
    settled: () => working ?? Promise.resolve(),
  }
}

type Turns = <T>(ids: readonly string[], act: () => Promise<T>) => Promise<T>

/** Lets calls that share an id happen one after the other: a repeat must not be judged while the first is under way. */
function openTurns(): Turns {
  const busy = new Map<string, Promise<unknown>>()
  return (ids, act) => {
    const before = ids.flatMap((id) => busy.get(id) ?? [])
    const turn = before.length === 0 ? act() : Promise.allSettled(before).then(act)
    const leave = (): void => {
      for (const id of ids) if (busy.get(id) === turn) busy.delete(id)
    }
    for (const id of ids) busy.set(id, turn)
    turn.then(leave, leave)
    return turn
  }
}

/** Checks entries, decides those whose outcome is known already, and gives the others, each id once. */
async function prepare(
  { follower, writer }: CommitterOptions,
  entries: readonly EntryInput[],
  outcomes: Map<string, Outcome>,
): Promise<Pick<Job, 'drafts' | 'judged'>> {
  return follower.read((view) => {
    const { options, position } = view.state()
    const limits = JSON.parse(options) as BucketOptions
    for (const entry of entries) checkEntry(entry, limits)
    const seen = new Set<string>()
    const fresh = entries.filter(({ id }) => !seen.has(id) && seen.add(id))
    const known = view.outcomes(fresh.map(({ id }) => id))
    for (const outcome of known) if (outcome !== null) outcomes.set(outcome.id, outcome)
    const drafts = draftsOf(
      view,
      fresh.filter(({ id }) => !outcomes.has(id)),
      writer,
    )
    const found = judge(
      view,
      drafts,
      drafts.map(() => null),
    )
    for (const [index, verdict] of found.entries()) {
      if (typeof verdict === 'object') outcomes.set(drafts[index]?.id ?? '', verdict)
    }
    const open = (_: unknown, index: number): boolean => typeof found[index] === 'string'
    return { drafts: drafts.filter(open), judged: { verdicts: found.filter(open), position } }
  })
}

function namedBodies(draft: Draft): readonly NamedBody[] {
  return draft.changes.flatMap((change): NamedBody[] => {
    if ('delete' in change) return []
    const refs = change.refs.map(([hash, size]) => ({ hash, size }))
    return [{ key: change.put, hash: change.hash, body: { depth: change.depth, refs } }]
  })
}

function outcomeOf(outcomes: ReadonlyMap<string, Outcome>, id: string): Outcome {
  const outcome = outcomes.get(id)
  if (outcome !== undefined) return outcome
  throw new BlobsError('Unavailable', `entry ${id} was appended, but is not in the log`, { hint: 'commit it again' })
}

async function appendJobs(options: CommitterOptions, jobs: readonly Job[]): Promise<void> {
  const { follower } = options
  let waiting = jobs.flatMap(({ drafts, outcomes }) => drafts.map((draft) => ({ draft, outcomes })))
  let judged = jobs.length === 1 ? (jobs[0]?.judged ?? null) : null
  while (waiting.length > 0) {
    const round = waiting
    const before = judged
    judged = null
    const [verdicts, based] = await follower.peek((view) => {
      const { position } = view.state()
      // Nothing was read since the job was judged, and it is alone: the verdicts would be the same.
      if (before?.position === position) return [before.verdicts, position] as const
      const drafts = round.map(({ draft }) => draft)
      return [judge(view, drafts), position] as const
    })
    for (const [index, { draft, outcomes }] of round.entries()) {
      const verdict = verdicts[index]
      if (typeof verdict === 'object') outcomes.set(draft.id, verdict)
    }
    waiting = round.filter((_, index) => verdicts[index] === 'wait')
    const next = round.filter((_, index) => verdicts[index] === 'append')
    if (next.length === 0) continue
    const count = await append(
      options,
      next.map(({ draft }) => draft),
      based,
    )
    waiting.unshift(...next.slice(count))
    const appended = next.slice(0, count)
    const outcomes = await follower.read((view) => view.outcomes(appended.map(({ draft }) => draft.id)))
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome !== null) appended[index]?.outcomes.set(outcome.id, outcome)
    }
    if (count > 0) options.appended()
  }
}

/** Gives how many of the drafts, from the first on, are in the log; 0 where others came first and the log lets nobody overlook that. */
async function append(
  { ports, follower, maxEntryBytes, clock }: CommitterOptions,
  drafts: readonly Draft[],
  based: Position,
): Promise<number> {
  const time = clock.now()
  const raw: RawEntry[] = []
  for (const draft of drafts) raw.push(await fitting(ports, { v: 1, ...draft, time, based }, maxEntryBytes))
  const positions = await appendTo(ports.log, raw, based)
  // The log may have gone back in time, to a backup perhaps: the view must be compared with it.
  if (positions === null || positions.some((position) => position <= based)) follower.doubt()
  return positions?.length ?? 0
}

/** Null, with nothing appended that counts, if others came first, or the log was trimmed beyond what was read of it. */
async function appendTo(log: Log, raw: readonly RawEntry[], after: Position): Promise<readonly Position[] | null> {
  try {
    return log.appendAt ? await log.appendAt(raw, { after }) : await log.append(raw)
  } catch (error) {
    if (isBlobsError(error, 'CursorExpired')) return null
    throw error
  }
}

/** The entry as the log takes it: one that is too large goes into Content, and the log gets its hash. */
async function fitting({ content }: BucketPorts, entry: Entry, maxBytes: number): Promise<RawEntry> {
  const { id } = entry
  const data = encodeEntry(entry)
  if (data.length <= maxBytes) return { id, data }
  const hash = sha256(data)
  await content.put([{ hash, bytes: data }])
  return { id, data: encodeEntry({ v: 1, id, content: hash, size: data.length }) }
}
