import type { Clock } from '../../platform/ports.ts'
import { momentOf, since } from '../../platform/moment.ts'
import { BlobsError } from '../contract/errors.ts'
import type { Follower } from '../follow.ts'
import type { BucketPorts, Checkpoint, Content } from '../ports.ts'
import type { SortKey, Tree } from '../view/bounds.ts'
import { sortKeyOf, type Until } from '../view/pages.ts'
import type { Top } from '../view/start.ts'
import { encodeRoot, type Chunk } from './page.ts'
import { treeBuilder, type PageSizes } from './tree.ts'
import { isWhole } from './walk.ts'

/** Rows that are read from the view, and made pages of, without a pause: at most, at first, and at least. */
const SLICE = 500
const FIRST_SLICE = 100
const SMALLEST_SLICE = 20
/** Milliseconds that this should take: so long everything else stands still. */
const TURN = 4
/** Who is not in a hurry rests so many times as long as it worked, up to so many milliseconds: a request takes many turns, each behind one of these. */
const REST = 3
const LONGEST_REST = 30
/** Milliseconds from when its pages begin to be asked for until it is saved, at most: as of a commit (`keep/collect.ts`). */
const PROMPT = 30 * 60_000
/** Pages that are put at once. */
const PAGES = 32

export interface WriteOptions {
  readonly ports: BucketPorts
  readonly follower: Follower
  readonly clock: Clock
  readonly signal: AbortSignal
  /** Until it aborts, most of the time is left to others. */
  readonly hurry: AbortSignal
  readonly pageSizes?: PageSizes | undefined
}

/**
 * Writes down what the view has read so far. Pages that are there already are left alone, and all of them are there when it is saved. Throws
 * `NotSupported` where the log does not trim.
 */
export async function writeCheckpoint(options: WriteOptions): Promise<Checkpoint> {
  const { ports, clock } = options
  const { trimming } = ports.log
  if (trimming === undefined) throw new BlobsError('NotSupported', 'this place takes no checkpoints')
  for (;;) {
    let asked = momentOf(clock)
    const checkpoint = await writePages(options)
    let whole = true
    while (whole && since(clock, asked) > PROMPT) {
      asked = momentOf(clock)
      whole = await isWhole(ports.content, checkpoint.root)
    }
    if (whole) await trimming.saveCheckpoint(checkpoint)
    // Who was stopped meanwhile may have saved one whose pages were swept.
    if (whole && (since(clock, asked) <= PROMPT || (await isWhole(ports.content, checkpoint.root)))) return checkpoint
  }
}

async function writePages(options: WriteOptions): Promise<Checkpoint> {
  const { ports, follower } = options
  await follower.complete()
  const state = await follower.peek((view) => view.state())
  const tree = (name: Tree): Promise<Top | null> => writeTree(options, name, state)
  const trees = {
    keys: await tree('keys'),
    serials: await tree('serials'),
    entries: await tree('entries'),
    ids: await tree('ids'),
  }
  const { epoch, position, entry, created, options: settings, blobs, bytes, serial, dropped } = state
  const root = encodeRoot({ epoch, position, entry, created, options: settings, blobs, bytes, serial, dropped, trees })
  await ports.content.put([root])
  return { position, root: root.hash }
}

async function writeTree(
  { ports, follower, clock, signal, hurry, pageSizes }: WriteOptions,
  tree: Tree,
  until: Until,
): Promise<Top | null> {
  const builder = treeBuilder(pageSizes)
  let finished: Chunk[] = []
  let size = FIRST_SLICE
  for (let after: SortKey | null = null; ;) {
    signal.throwIfAborted()
    const from: SortKey | null = after
    const count = size
    const started = clock.elapsed()
    const rows = await follower.peek((view) => view.slice(tree, from, until, count))
    if (rows === null)
      throw new BlobsError('Unavailable', 'the view was made anew, or versions were dropped, while it was written down')
    for (const row of rows) {
      after = sortKeyOf(tree, row)
      finished.push(...builder.add(after, JSON.stringify(row)))
    }
    const took = clock.elapsed() - started
    if (rows.length < count) break
    size = Math.max(SMALLEST_SLICE, Math.min(SLICE, Math.round((count * TURN) / took)))
    if (finished.length >= PAGES) finished = await putMissing(ports.content, finished)
    await (hurry.aborted ? clock.sleep(0) : clock.sleep(Math.min(LONGEST_REST, took * REST), hurry))
  }
  const { pages, top } = builder.finish()
  await putMissing(ports.content, [...finished, ...pages])
  return top
}

async function putMissing(content: Content, pages: readonly Chunk[]): Promise<Chunk[]> {
  const missing = new Set(await content.missing(pages.map(({ hash }) => hash)))
  await content.put(pages.filter(({ hash }) => missing.has(hash)))
  return []
}
