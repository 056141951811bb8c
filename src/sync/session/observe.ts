import type { Base, Path } from '../core/types.ts'
import { IGNORE_FILE, openIgnore, type Ignore } from '../disk/ignore.ts'
import { readMarker } from '../disk/marker.ts'
import type { DirtyFolder, Observation } from '../disk/observed.ts'
import { scan } from '../disk/scan.ts'
import { isSameSelection, type Selection } from '../disk/selection.ts'
import { applyObservations, applyRules } from '../state/local.ts'
import { getMeta, note, setMeta, write } from '../state/open.ts'
import { knownTree } from '../state/tree.ts'
import type { SessionPorts } from './ports.ts'
import { codeOf } from '../disk/failure.ts'

export type Scope = 'all' | readonly DirtyFolder[]

/** Told of what was written down. */
type Saw = (observations: readonly Observation[]) => Promise<void>

/** The folder's side as it is seen. */
export interface Observer {
  /** Looks at the disk and writes down what differs; waits for `saw` each time. True if anything did. */
  look(scope: Scope, signal?: AbortSignal, saw?: Saw): Promise<boolean>
  /** Takes in what a transition says is on disk now, and `agreed` as `applyObservations` does. Inside a transaction. */
  take(observations: readonly Observation[], agreed?: ReadonlyMap<Path, Base>): void
  /** True when the rules changed on disk and `look('all')` is due. */
  rulesChanged(): boolean
  ignore(): Ignore
  ignores(path: Path): boolean
  /** Milliseconds since the path was found to be gone; null: it is not known to be. */
  goneFor(path: Path): number | null
  /** Files that could not be judged because somebody writes to them, with the milliseconds since that was first found. */
  restless(): ReadonlyMap<Path, number>
}

/** A file that somebody keeps open is taken as it is after so long. */
const BUSY_PATIENCE = 30_000
/** Longer than any delete waits for its file to come back. */
const GONE_MEMORY = 10_000

/** What the marker says now; without one, as before: the scan finds out that the root is gone. */
function readSelection({ fs, root }: SessionPorts, before: Selection | null): Selection {
  const marker = readMarker(fs, root.path)
  if (marker === null && before !== null) return before
  return { only: marker?.only ?? [], not: marker?.not ?? [] }
}

export function openObserver(ports: SessionPorts): Observer {
  const { fs, clock, db, root } = ports
  const gone = new Map<Path, number>()
  const restless = new Map<Path, number>()
  let selection = readSelection(ports, null)
  const freshRules = (): Ignore => openIgnore({ fs, root: root.path, exclude: ports.exclude, selection })
  let rules = freshRules()
  let rulesDirty = false

  const ignores = (path: Path): boolean => {
    const folder = path.endsWith('/')
    try {
      return rules.ignores(folder ? path.slice(0, -1) : path, folder)
    } catch (error) {
      // Rules that cannot be read are found, and listed, by the scan of their folder.
      if (codeOf(error) === null) throw error
      return false
    }
  }
  const take: Observer['take'] = (observations, agreed) => {
    applyObservations(db, observations, agreed)
    for (const { path, node } of observations) {
      if (node.kind === 'absent') gone.set(path, clock.elapsed())
      else gone.delete(path)
      if (node.kind !== 'unknown' || (node.reason !== 'busy' && node.reason !== 'changing')) restless.delete(path)
      else if (!restless.has(path)) restless.set(path, clock.elapsed())
      if (path === IGNORE_FILE || path.endsWith(`/${IGNORE_FILE}`)) rulesDirty = true
    }
  }
  const adoptRules = (): void => {
    const digest = rules.digest()
    if (digest === getMeta(db, 'rules')) return
    applyRules(db, ignores)
    write(db, () => setMeta(db, 'rules', digest))
  }
  const lookOnce = async (scope: Scope, signal?: AbortSignal, saw?: Saw): Promise<boolean> => {
    if (scope === 'all') {
      rules = freshRules()
      rulesDirty = false
    }
    let differs = false
    for await (const batch of scan({
      fs,
      root,
      scope,
      known: knownTree(db),
      ignore: rules,
      clock,
      caseBlind: ports.traits.caseBlind,
      takeBusy: (path) => clock.elapsed() - (restless.get(path) ?? clock.elapsed()) > BUSY_PATIENCE,
      ...(signal === undefined ? {} : { signal }),
    })) {
      note(db, () => take(batch))
      differs ||= batch.length > 0
      await saw?.(batch)
    }
    if (scope === 'all' && !signal?.aborted) {
      rulesDirty = false
      adoptRules()
    }
    return differs
  }
  return {
    look: async (scope, signal, saw) => {
      for (const [path, at] of gone) if (clock.elapsed() - at > GONE_MEMORY) gone.delete(path)
      // Before anything is called gone: what was deselected may have been cleared away at once.
      const now = readSelection(ports, selection)
      const reselected = !isSameSelection(now, selection)
      selection = now
      const differs = await lookOnce(reselected ? 'all' : scope, signal, saw)
      return rulesDirty && !signal?.aborted ? (await lookOnce('all', signal, saw)) || differs : differs
    },
    take,
    rulesChanged: () => rulesDirty,
    ignore: () => rules,
    ignores,
    goneFor: (path) => {
      const at = gone.get(path)
      return at === undefined ? null : clock.elapsed() - at
    },
    restless: () => new Map([...restless].map(([path, since]) => [path, clock.elapsed() - since])),
  }
}
