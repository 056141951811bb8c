import type { Path } from '../core/types.ts'
import { DROPPED, sameButForCtime, type Ended } from './act.ts'
import type { DiskContext } from './context.ts'
import { codeOf } from './failure.ts'
import { identityOf, isExecutable, isFresh } from './look.ts'
import { contentOf, replacedBy, type Task } from './task.ts'

/** A file that gets another name: what goes and what comes are the same bytes, so the file itself moves. */
export interface Move {
  readonly from: Task
  readonly to: Task
}

/** Marks what is not a file of the temporary folder in `Unclear.op`: the name that a moved file had. */
const MOVED_FROM = '/'

export function opOfMove({ from }: Move): string {
  return MOVED_FROM + from.path
}

/** The name that a moved file had, or null for any other operation. */
export function movedFrom(op: string): Path | null {
  return op.startsWith(MOVED_FROM) ? op.slice(MOVED_FROM.length) : null
}

/**
 * The moves among tasks: a deletion that names an addition of the same bytes, mode and time as its file was last seen to have, where
 * nothing has the new name. All others are done as what they are.
 */
export function findMoves(context: DiskContext, tasks: readonly Task[]): readonly Move[] {
  const going = new Map<Path, Task>()
  for (const task of tasks) {
    const { step } = task.work
    if (step.type === 'delete-local' && step.movedTo !== undefined && task.ended === null) going.set(step.movedTo, task)
  }
  if (going.size === 0) return []
  return context.confine.inOneGo(() =>
    tasks.flatMap((to): Move[] => {
      const from = going.get(to.path)
      return from !== undefined && isMove(context, from, to) ? [{ from, to }] : []
    }),
  )
}

function isMove({ fs, confine, unmovable }: DiskContext, from: Task, to: Task): boolean {
  const { work } = to
  if (work.step.type !== 'download' || to.ended !== null || replacedBy(to) !== null) return false
  if (unmovable.has(to.path) || from.work.identity === null) return false
  const [old, content] = [replacedBy(from), contentOf(to)]
  if (old?.kind !== 'file' || content?.kind !== 'file') return false
  if (old.hash !== content.hash || old.executable !== content.executable) return false
  if (isAbove(from.path, to.path) || isAbove(to.path, from.path)) return false
  const place = confine.place(to.path)
  return 'blocked' in place ? place.blocked === null : fs.lstat(place.at) === null
}

function isAbove(folder: Path, path: Path): boolean {
  return path.startsWith(`${folder}/`)
}

/**
 * Gives one file its new name. Awaits nothing. When it does not go, both halves are dropped, and done apart the next time. `touched`: as
 * in `applyBatch`.
 */
export function moveFile(context: DiskContext, move: Move, touched: Set<string>): void {
  const { from, to } = move
  try {
    from.ended = to.ended = tryMove(context, move, touched)
  } catch (error) {
    if (codeOf(error) === null) throw error
    context.unmovable.add(to.path)
    from.ended = to.ended = DROPPED
  }
}

function tryMove(context: DiskContext, { from, to }: Move, touched: Set<string>): Ended {
  const { fs, clock, confine } = context
  const source = confine.place(from.path)
  const seen = 'blocked' in source ? null : fs.lstat(source.at)
  if ('blocked' in source || seen?.kind !== 'file' || identityOf(seen) !== from.work.identity) return DROPPED
  const content = contentOf(to)
  if (isExecutable(seen) !== content?.executable) return DROPPED
  const { work } = to
  if ('mtimeNs' in work && work.mtimeNs !== null && work.mtimeNs !== seen.mtimeNs) {
    context.unmovable.add(to.path)
    return DROPPED
  }
  const target = confine.place(to.path, true)
  if ('blocked' in target) return DROPPED
  fs.renameNew(source.at, target.at)
  touched.add(source.shown).add(target.shown)
  const came = fs.lstat(target.at)
  // As in `cameOut`: renaming has changed ctime, so a write in the last instant shows only in mtime, if that is not too new to tell.
  if (came && sameButForCtime(came, seen) && !isFresh(came, clock.now())) {
    const { hash, size, executable } = content
    const node = { kind: 'file', hash, size, executable, identity: identityOf(came), mtimeNs: came.mtimeNs } as const
    to.now.push({ path: to.path, node })
    from.now.push({ path: from.path, node: { kind: 'absent' } })
    return { type: 'done', kept: null }
  }
  // Somebody's save, which is to stand where it was made; if that name is taken by now it stands where it is, and is found there.
  context.unmovable.add(to.path)
  if (came) fs.renameNew(target.at, source.at)
  return DROPPED
}
