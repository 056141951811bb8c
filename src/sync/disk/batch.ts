import type { Ids } from '../../platform/ports.ts'
import type { Content, Path } from '../core/types.ts'
import { create, DROPPED, lastLook, noWay, remove, replace, setExecutable, type Ended, type Seen } from './act.ts'
import { isForUser } from './confine.ts'
import type { DiskContext } from './context.ts'
import { codeOf, reasonOf } from './failure.ts'
import { isEmptyFolder, prune, removeEmptyTree, removeFolder } from './folders.ts'
import { findMoves, moveFile, opOfMove } from './move.ts'
import { parentOf } from './names.ts'
import { linkSibling, observe } from './siblings.ts'
import { discard, nameStaged, stageBytes, stageCopy, stageStream, type Staged } from './staging.ts'
import { attempt, attemptNow, contentOf, fail, isModeOnly, replacedBy, resultOf, taskOf, type Task } from './task.ts'
import type { ApplyOptions, DiskResult, DiskWork, Source } from './transition.ts'
import { EMPTY_FOLDER } from './walk.ts'

const STAGED_AT_ONCE = 8
/** So many that looking at their folders once for all pays, and so few that nothing else waits long. */
const ADDED_AT_ONCE = 64

/** See `Disk.apply`. `touched` are the folders whose names have to be made durable. */
export async function applyBatch(
  context: DiskContext,
  ids: Ids,
  work: readonly DiskWork[],
  options: ApplyOptions,
): Promise<readonly DiskResult[]> {
  const tasks = work.map((item) => taskOf(item, ids.next()))
  const touched = new Set<string>()
  for (const task of tasks) if (!isForUser(bare(task.path))) fail(task, 'name-reserved')
  const moves = findMoves(context, tasks)
  const moved = new Set(moves.flatMap(({ from, to }) => [from, to]))
  const apart = tasks.filter((task) => !moved.has(task))
  await stageAll(context, apart, options)
  for (const task of open(tasks)) {
    if (task.work.step.type === 'conflict') await attempt(task, () => keepLocal(context, task, touched))
  }
  const note = ids.next()
  const displacing = open(apart).filter(displaces)
  await Promise.all([
    makeDurable(context, tasks, touched),
    displacing.length > 0 ? context.journal.intend(note, displacing.map(intentOf)) : null,
  ])
  // Until here they are what a recovery throws away.
  for (const task of displacing) attemptNow(task, () => name(context, task))
  const placing = [
    ...open(apart).flatMap(({ staged, path, op }) => (staged === null ? [] : [{ path, op }])),
    ...moves.map((move) => ({ path: move.to.path, op: opOfMove(move) })),
  ]
  if (placing.length > 0) options.onPlacing?.(placing)
  for (let at = 0; at < moves.length && !options.signal?.aborted; at += ADDED_AT_ONCE)
    context.confine.inOneGo(() => {
      for (const move of moves.slice(at, at + ADDED_AT_ONCE)) moveFile(context, move, touched)
    })
  for (const group of groups(inOrder(open(apart)))) {
    if (options.signal?.aborted) break
    if (isAddition(group[0])) context.confine.inOneGo(() => addAll(context, group, touched))
    for (const task of open(group)) {
      await attempt(task, () => act(context, task))
      // An error from here on is none of this step's, which was done: it ends the batch, and `placed` finds out what became of it.
      afterwards(context, task, touched)
    }
  }
  await finish(context, tasks, touched, options)
  const results = tasks.map(resultOf)
  options.onResults?.(results)
  for (const task of tasks) if (task.ended?.type !== 'done') discardStaged(context, task)
  if (displacing.length > 0 && displacing.every((task) => isClear(context, task))) context.journal.forget(note)
  return results
}

function open(tasks: readonly Task[]): Task[] {
  return tasks.filter((task) => task.ended === null)
}

/** A folder's path without the slash at its end. */
function bare(path: Path): Path {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

/** A user's file will be in the temporary folder for a moment. */
function displaces(task: Task): boolean {
  return replacedBy(task)?.kind === 'file' && !isModeOnly(task)
}

function intentOf(task: Task): { op: string; path: Path; comes: string } {
  return { op: task.op, path: task.path, comes: contentOf(task)?.hash ?? '' }
}

async function stageAll(context: DiskContext, tasks: readonly Task[], options: ApplyOptions): Promise<void> {
  let next = 0
  const work = async (): Promise<void> => {
    for (let task = tasks[next++]; task; task = tasks[next++])
      if (task.ended === null) await stageOne(context, task, options)
  }
  await Promise.all(Array.from({ length: STAGED_AT_ONCE }, work))
}

async function stageOne(context: DiskContext, task: Task, options: ApplyOptions): Promise<void> {
  const content = contentOf(task)
  const { work } = task
  if (content?.kind !== 'file' || isModeOnly(task) || !('source' in work) || !work.source) return
  if (options.signal?.aborted) return void (task.ended = DROPPED)
  try {
    task.staged = await stage(context, task, content, work.source, work.mtimeNs, options)
  } catch (error) {
    if (options.signal?.aborted) task.ended = DROPPED
    else fail(task, reasonOf(error) ?? 'download-failed', error)
  }
}

async function stage(
  context: DiskContext,
  task: Task,
  content: Content,
  source: Source,
  mtimeNs: bigint | null,
  { onBytes, signal }: ApplyOptions,
): Promise<Staged> {
  const { fs, clock, tmp, confine } = context
  const settings = { fs, clock, folder: tmp, op: task.op, content, mtimeNs, onBytes, signal } as const
  if (source.from === 'memory') return stageBytes(source.bytes, settings)
  if (source.from === 'bucket') return stageStream(source.open(), settings)
  const place = confine.place(source.path)
  const copied = 'blocked' in place ? null : await stageCopy(place.at, settings)
  return copied ?? stageStream(source.orElse(), settings)
}

/** A conflict's first half: the local bytes get their second name. */
async function keepLocal(context: DiskContext, task: Task, touched: Set<string>): Promise<void> {
  const { step, identity } = task.work
  if (step.type !== 'conflict') return
  const seen = await lastLook(context, task.path, step.local, identity)
  if ('type' in seen) return void (task.ended = seen)
  if (step.remote && isReadOnly(seen)) return fail(task, 'not-writable')
  task.sibling = await linkSibling(context, { path: task.path, op: task.op, hash: seen.hash, stat: seen.stat })
  const place = context.confine.place(task.path)
  const stat = 'blocked' in place ? null : context.fs.lstat(place.at)
  if ('blocked' in place || stat?.ino !== seen.stat.ino || stat.mtimeNs !== seen.stat.mtimeNs) {
    task.ended = DROPPED
    return
  }
  touched.add(place.shown)
  // The second name has changed its ctime.
  task.seen = { ...seen, stat }
}

/** Everything that was staged or linked, in one go: from here on names may be given up. */
async function makeDurable(context: DiskContext, tasks: readonly Task[], touched: ReadonlySet<string>): Promise<void> {
  const staged = tasks.flatMap((task) => (task.staged ? [task.staged.at] : []))
  if (staged.length === 0 && touched.size === 0) return
  const siblings = tasks.flatMap(({ sibling }) => {
    const place = sibling === null ? null : context.confine.place(sibling)
    return place && !('blocked' in place) ? [place.at] : []
  })
  await syncStanding(context, [...staged, context.tmp], [...siblings, ...touched])
}

function name({ fs }: DiskContext, task: Task): void {
  if (task.staged) task.staged = nameStaged(fs, task.staged)
}

/** What makes way first, from the inside out; then what comes, from the outside in. */
function inOrder(tasks: readonly Task[]): Task[] {
  const goes = (task: Task): boolean => contentOf(task) === null
  const byPath = (a: Task, b: Task): number => (a.path < b.path ? -1 : 1)
  const going = tasks.filter(goes).sort((a, b) => byPath(b, a))
  return [...going, ...tasks.filter((task) => !goes(task)).sort(byPath)]
}

/** Files that come where nothing was, many at once; everything else one by one. */
function* groups(tasks: readonly Task[]): Generator<readonly [Task, ...Task[]]> {
  let group: Task[] = []
  for (const task of tasks) {
    const [first] = group
    if (first && !(isAddition(first) && isAddition(task) && group.length < ADDED_AT_ONCE)) {
      yield [first, ...group.slice(1)]
      group = []
    }
    group.push(task)
  }
  const [first, ...rest] = group
  if (first) yield [first, ...rest]
}

function isAddition(task: Task): boolean {
  return task.staged !== null && replacedBy(task) === null
}

/** Those in whose way something stands are left open. */
function addAll(context: DiskContext, group: readonly Task[], touched: Set<string>): void {
  for (const task of group) {
    attemptNow(task, () => {
      const ended = task.staged && create(context, task.path, task.staged)
      if (ended && ended.type !== 'dropped') task.ended = ended
    })
    afterwards(context, task, touched)
  }
}

async function act(context: DiskContext, task: Task): Promise<void> {
  task.ended = isOfFolder(task) ? actOnFolder(context, task) : await actOnFile(context, task, contentOf(task))
}

function isOfFolder(task: Task): boolean {
  return (contentOf(task) ?? replacedBy(task))?.kind === 'folder'
}

/** What there is now, and which folders have to be made durable for it. */
function afterwards(context: DiskContext, task: Task, touched: Set<string>): void {
  const { ended, path } = task
  const { confine } = context
  if (ended === null || ended.type === 'failed') return
  if (isOfFolder(task)) {
    for (const folder of [bare(path), parentOf(bare(path))]) {
      const place = confine.folder(folder)
      if (!('blocked' in place)) touched.add(place.shown)
    }
    return
  }
  const place = confine.place(path)
  if (!('blocked' in place)) touched.add(place.shown)
  if (ended.kept) task.now.push(ended.kept)
  if (ended.type === 'dropped') return
  const content = contentOf(task)
  const put = task.staged?.stat ?? task.seen?.stat
  if (content === null || !put) task.now.push({ path, node: { kind: 'absent' } })
  else task.now.push(observe(context, path, content, put, place))
}

async function actOnFile(context: DiskContext, task: Task, content: Content | null): Promise<Ended> {
  const { path, op, staged, sibling, work } = task
  const expected = replacedBy(task)
  if (expected === null) return staged ? createHere(context, path, staged) : DROPPED
  const looked = task.seen ?? (await lastLook(context, path, expected, work.identity))
  if ('type' in looked) return looked
  task.seen = looked
  if (content === null) return remove(context, path, op, looked, sibling)
  if (isReadOnly(looked)) return { type: 'failed', reason: 'not-writable', error: null }
  if (isModeOnly(task)) return setExecutable(context, path, content.executable, looked)
  return staged ? replace(context, path, op, { staged, comes: content.hash, seen: looked, keptAs: sibling }) : DROPPED
}

/** Whoever took the right to write away meant it; that another name could be put in its place is no excuse. */
function isReadOnly({ stat }: Seen): boolean {
  return (stat.mode & 0o222) === 0
}

/** A tree of folders with nothing in them, such as this batch has emptied, makes way for a file. */
function createHere(context: DiskContext, path: Path, staged: Staged): Ended {
  const ended = create(context, path, staged)
  return ended.type === 'dropped' && removeEmptyTree(context, path) ? create(context, path, staged) : ended
}

function actOnFolder(context: DiskContext, task: Task): Ended {
  const folder = bare(task.path)
  if (contentOf(task)) {
    const made = context.confine.folder(folder, true)
    if ('blocked' in made) return noWay(made)
  } else removeFolder(context, folder)
  return { type: 'done', kept: null }
}

/** Folders that became empty go, folders that were empty are no more, and all of it is made durable. */
async function finish(
  context: DiskContext,
  tasks: readonly Task[],
  touched: ReadonlySet<string>,
  { keepFolder = () => false }: ApplyOptions,
): Promise<void> {
  const done = tasks.filter((task) => task.ended?.type === 'done')
  const filled = new Map<Path, Task>()
  const looked = new Map<Path, Task>()
  const emptier = new Map<Path, Task>()
  for (const task of done) {
    const folder = parentOf(bare(task.path))
    if (task.path.endsWith('/')) looked.set(bare(task.path), task)
    if (contentOf(task) === null) emptier.set(folder, task)
    else if (replacedBy(task) === null)
      for (let at = folder; at !== '' && !filled.has(at); at = parentOf(at)) filled.set(at, task)
  }
  for (const [folder, task] of emptier) for (const path of prune(context, folder, keepFolder)) looked.set(path, task)
  for (const [path, task] of filled)
    if (!looked.has(path)) task.now.push({ path: `${path}/`, node: { kind: 'absent' } })
  for (const [path, task] of looked) {
    task.now.push({ path: `${path}/`, node: isEmptyFolder(context, path) ? EMPTY_FOLDER : { kind: 'absent' } })
  }
  for (const task of done) observeSibling(context, task)
  if (touched.size > 0) await syncStanding(context, [context.tmp], [...touched])
}

/** Makes `ours` durable, and of a user's names those that are still there: what somebody moves away just now has another name already. */
export async function syncStanding(
  { fs, root }: DiskContext,
  ours: readonly string[],
  users: readonly string[],
): Promise<void> {
  for (let tries = 0; ; tries++) {
    const standing = users.filter((path) => fs.lstat(path))
    try {
      return await fs.syncGroup(root.path, [...ours, ...standing])
    } catch (error) {
      // Any other error may stand for lost writes, which a second try would not tell again.
      if (codeOf(error) !== 'ENOENT' || tries === users.length) throw error
    }
  }
}

function observeSibling(context: DiskContext, { work: { step }, sibling, seen, now }: Task): void {
  if (step.type === 'conflict' && sibling !== null && seen) now.push(observe(context, sibling, step.local, seen.stat))
}

/** Only while it is still ours: after an exchange that ended badly it may hold a user's bytes, and recovery decides. */
function discardStaged({ fs }: DiskContext, { staged }: Task): void {
  if (staged && fs.lstat(staged.at)?.ino === staged.stat.ino) discard(fs, staged.at)
}

function isClear({ fs, tmp }: DiskContext, { staged, op }: Task): boolean {
  return !(staged && fs.lstat(staged.at)) && !fs.lstat(`${tmp}/${op}.old`)
}
