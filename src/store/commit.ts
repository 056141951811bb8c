import { sha256 } from '../content/hash.ts'
import { momentOf, since, type Moment } from '../platform/moment.ts'
import type { Clock, Ids } from '../platform/ports.ts'
import { checkEntry, checkOptions } from './accept.ts'
import { checkBytes, checkPresent, type NamedBody } from './bodies.ts'
import type { CommitOptions } from './contract/blob-store.ts'
import { checkWriter } from './copies.ts'
import { BlobsError, isBlobsError } from './contract/errors.ts'
import type { BucketOptions, EntryInput, Outcome } from './contract/types.ts'
import { draftsOf, type Writer } from './drafts.ts'
import { encodeEntry, formatOf, type Drop, type Entry } from './entry.ts'
import type { Follower } from './follow.ts'
import { judge, type Draft, type Verdict } from './judge.ts'
import { checkQuota } from './quota.ts'
import type { BucketPorts, Log, Position, RawEntry } from './ports.ts'
import type { View } from './view/view.ts'
import type { Witness } from './witness.ts'

/** Appends entries; those of callers at the same time go into the log together. */
export interface Committer {
  commit(entries: readonly EntryInput[], options: CommitOptions): Promise<readonly Outcome[]>
  /** Checks as `commit` does, and throws as it does; gives the outcomes that are known without appending, by id. */
  foresee(entries: readonly EntryInput[], options: CommitOptions): Promise<ReadonlyMap<string, Outcome>>
  configure(name: string, options: BucketOptions): Promise<void>
  /** Takes the bytes of older versions away. */
  drop(drops: readonly Drop[]): Promise<void>
  /** Appends an entry that changes nothing: what was judged before it, and is not in the log by then, is judged anew where the log can tell. */
  fence(): Promise<void>
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

/**
 * Milliseconds from when a commit begins to ask for its chunks until it is appended, at most: collecting garbage relies on it (`keep/collect.ts`).
 */
const PROMPT = 10 * 60_000
interface Judged {
  readonly verdicts: readonly Verdict[]
  readonly position: Position
}

interface Job {
  readonly drafts: readonly Draft[]
  /** What `judge` said to the drafts when the view was at a position; null: it was not asked. */
  readonly judged: Judged | null
  /** When its chunks began to be asked for; null where there are none. */
  readonly asked: Moment | null
  readonly outcomes: Map<string, Outcome>
  /** Judged by what was known: if others have appended meanwhile, all is to be looked at again. */
  readonly hasty: boolean
  readonly settle: (error?: unknown) => void
}

/** What a hasty job ends with when others were first. */
const OTHERS_FIRST = Symbol('others were first')

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
  const appendAlone = (part: Partial<Draft>): Promise<void> => {
    const draft = { ...options.writer, id: options.ids.next(), changes: [], ...part }
    return enqueue({ drafts: [draft], judged: null, asked: null, outcomes: new Map(), hasty: false })
  }
  const check = async (
    entries: readonly EntryInput[],
    { verify = false, signal }: CommitOptions,
    mayBeHasty: boolean,
  ): Promise<Omit<Job, 'settle'>> => {
    const prepared = (mayBeHasty ? await prepareHastily(options, entries) : null) ?? (await prepare(options, entries))
    const { drafts } = prepared
    const bodies = drafts.flatMap(namedBodies)
    const pause = async (): Promise<void> => {
      signal?.throwIfAborted()
      await options.clock.sleep(0)
    }
    const { content } = options.ports
    if (verify) await checkBytes(content, bodies, pause, options.witness)
    const asked = momentOf(options.clock)
    // Who names a chunk that may be swept asks for it, whether its bytes were looked at or not.
    if (!verify || content.sweeping !== undefined) await checkPresent(content, bodies, pause)
    return { ...prepared, asked }
  }
  const commit = async (
    entries: readonly EntryInput[],
    checks: CommitOptions,
    mayBeHasty: boolean,
  ): Promise<readonly Outcome[]> => {
    const job = await check(entries, checks, mayBeHasty)
    try {
      if (job.drafts.length > 0) await enqueue(job)
    } catch (error) {
      if (error === OTHERS_FIRST) return commit(entries, checks, false)
      throw error
    }
    return entries.map(({ id }) => outcomeOf(job.outcomes, id))
  }
  return {
    commit: (entries, checks) =>
      oneByOne(
        entries.map(({ id }) => id),
        () => commit(entries, checks, true),
      ),
    foresee: async (entries, checks) => (await check(entries, checks, false)).outcomes,
    configure: async (name, wanted) => {
      checkOptions(wanted)
      const created = await options.follower.read((view) => view.state().created)
      await appendAlone({ bucket: { name, created, options: wanted } })
    },
    drop: (drop) => appendAlone({ drop }),
    fence: () => appendAlone({}),
    settled: () => working ?? Promise.resolve(),
  }
}

/** False if its chunks may be gone by now. */
function isPrompt({ clock }: CommitterOptions, { asked }: Job): boolean {
  return asked === null || since(clock, asked) <= PROMPT
}

function tooLate(): BlobsError {
  return new BlobsError('Unavailable', 'the commit waited too long before it could be written', { hint: 'try again' })
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

async function prepare({ follower, writer }: CommitterOptions, entries: readonly EntryInput[]): Promise<Prepared> {
  return { ...(await follower.read((view) => prepared(view, entries, writer))), hasty: false }
}

/**
 * The same by what the view knows, without a look at the log: where one can append behind a position only, that it could shows that
 * nothing was missed. Null unless all entries are to be appended: a refusal must not be by what is long past.
 */
async function prepareHastily(
  { ports, follower, writer }: CommitterOptions,
  entries: readonly EntryInput[],
): Promise<Prepared | null> {
  if (ports.log.appendAt === undefined || !follower.hasRead()) return null
  try {
    const found = await follower.peek((view) => prepared(view, entries, writer))
    return found.outcomes.size === 0 ? { ...found, hasty: true } : null
  } catch {
    return null
  }
}

type Prepared = Omit<Job, 'settle' | 'asked'>

/** Checks entries, decides those whose outcome is known already, and gives the others, each id once. */
function prepared(view: View, entries: readonly EntryInput[], writer: Writer): Omit<Prepared, 'hasty'> {
  const outcomes = new Map<string, Outcome>()
  const { options, position } = view.state()
  const limits = JSON.parse(options) as BucketOptions
  for (const entry of entries) checkEntry(entry, limits)
  checkWriter(entries, limits)
  const seen = new Set<string>()
  const fresh = entries.filter(({ id }) => !seen.has(id) && seen.add(id))
  const known = view.outcomes(fresh.map(({ id }) => id))
  for (const outcome of known) if (outcome !== null) outcomes.set(outcome.id, outcome)
  const undecided = fresh.filter(({ id }) => !outcomes.has(id))
  const drafts = draftsOf(view, undecided, writer)
  const nothing = drafts.map(() => null)
  const found = judge(view, drafts, nothing)
  for (const [index, verdict] of found.entries()) {
    if (typeof verdict === 'object') outcomes.set(drafts[index]?.id ?? '', verdict)
  }
  const open = (_: unknown, index: number): boolean => typeof found[index] === 'string'
  checkQuota(view, drafts.filter(open), limits)
  return { drafts: drafts.filter(open), judged: { verdicts: found.filter(open), position }, outcomes }
}

function namedBodies(draft: Draft): readonly NamedBody[] {
  return draft.changes.flatMap((change): NamedBody[] => {
    if ('delete' in change || change.dropped === true) return []
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
  let waiting: readonly Waiting[] = jobs.flatMap((job) => job.drafts.map((draft) => ({ draft, job })))
  const over = new Set<Job>()
  const end = (job: Job, error: unknown): void => {
    over.add(job)
    job.settle(error)
  }
  const lookAgain = (job: Job): void => end(job, OTHERS_FIRST)
  let judged = jobs.length === 1 ? (jobs[0]?.judged ?? null) : null
  while (waiting.length > 0) {
    for (const { job } of waiting) if (!isPrompt(options, job)) end(job, tooLate())
    waiting = waiting.filter(({ job }) => !over.has(job))
    const left = await appendRound(options, { waiting, judged }, lookAgain)
    judged = null
    waiting = left.filter(({ job }) => !over.has(job))
  }
}

interface Waiting {
  readonly draft: Draft
  readonly job: Job
}

/** Appends what can be; gives what is left for the next round. Hasty jobs that others were before are handed to `lookAgain`. */
async function appendRound(
  options: CommitterOptions,
  { waiting: round, judged }: { readonly waiting: readonly Waiting[]; readonly judged: Judged | null },
  lookAgain: (job: Job) => void,
): Promise<readonly Waiting[]> {
  const { follower } = options
  const drafts = round.map(({ draft }) => draft)
  const [verdicts, based] = await follower.peek((view) => {
    const { position } = view.state()
    // Nothing was read since the job was judged, and it is alone: the verdicts would be the same.
    return [judged?.position === position ? judged.verdicts : judge(view, drafts), position] as const
  })
  for (const [index, { draft, job }] of round.entries()) {
    const verdict = verdicts[index]
    if (typeof verdict !== 'object') continue
    if (job.hasty) lookAgain(job)
    else job.outcomes.set(draft.id, verdict)
  }
  const later = round.filter((_, index) => verdicts[index] === 'wait')
  const next = round.filter((_, index) => verdicts[index] === 'append')
  if (next.length === 0) return later
  const ready = next.map(({ draft }) => draft)
  const count = await append(options, ready, based)
  const left = [...next.slice(count), ...later]
  if (count === 0) for (const { job } of left) if (job.hasty) lookAgain(job)
  const outcomes = await outcomesOf(
    follower,
    ready.slice(0, count).map(({ id }) => id),
  )
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome !== null) next[index]?.job.outcomes.set(outcome.id, outcome)
  }
  if (count > 0) options.appended()
  return left
}

/** Of entries that were appended; of none, once the log was read to its end. */
async function outcomesOf(follower: Follower, ids: readonly string[]): Promise<readonly (Outcome | null)[]> {
  const look = (view: View): readonly (Outcome | null)[] => view.outcomes(ids)
  const known = ids.length === 0 ? null : await follower.peek(look)
  return known === null || known.includes(null) ? follower.read(look) : known
}

/** Gives how many of the drafts, from the first on, are in the log; 0 where others came first and the log lets nobody overlook that. */
async function append(
  { ports, follower, maxEntryBytes, clock }: CommitterOptions,
  drafts: readonly Draft[],
  based: Position,
): Promise<number> {
  const time = clock.now()
  const raw: RawEntry[] = []
  for (const draft of drafts)
    raw.push(await fitting(ports, { v: formatOf(draft), ...draft, time: draft.time ?? time, based }, maxEntryBytes))
  const positions = await appendTo(ports.log, raw, based)
  // The log may have gone back in time, to a backup perhaps: the view must be compared with it.
  if (positions === null || positions.some((position) => position <= based)) follower.doubt()
  else
    await follower.took(
      based,
      positions.map((position, index) => ({ ...(raw[index] as RawEntry), position })),
    )
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
