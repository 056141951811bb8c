import type { Hash } from '../../content/hash.ts'
import { listPages } from '../contract/pages.ts'
import { keyProblem } from '../contract/keys.ts'
import type { Expectation } from '../contract/types.ts'
import type { ForeseeingStore } from '../log-store.ts'
import type { Content } from '../ports.ts'
import type { ForeignBucket, ForeignItem, ForeignPromises } from './foreign.ts'
import type { Known, Notes } from './notes.ts'

/** What the acts of a mirror of one bucket need; to be used by who holds its lock. */
export interface Parts {
  readonly foreign: ForeignBucket
  readonly promises: ForeignPromises
  readonly shadow: ForeseeingStore
  /** Where the shadow's bytes are. */
  readonly content: Pick<Content, 'get'>
  readonly notes: Notes
  /** Tells the user something once for each `about`. */
  readonly warn: (about: string, message: string) => void
  /** Says if another look at something that was not whole is worth it. */
  readonly patience: Patience
  /** This process may write there. */
  readonly writable: boolean
  readonly newId: () => string
}
/** Looks again and again at what stays half costs more each time: so they become rare. */
export interface Patience {
  mayLook(tag: string): boolean
  wasHalf(tag: string): void
}

/** What is there, by key: the newest first. */
export type There = Map<string, readonly ForeignItem[]>

/** The bucket as the place lists it. What no bucket of ours could hold is left out, and told. */
export async function lookThere({ foreign, warn }: Pick<Parts, 'foreign' | 'warn'>): Promise<There> {
  const there = new Map<string, ForeignItem[]>()
  for await (const batch of foreign.list()) {
    for (const item of batch) {
      const problem = keyProblem(item.key)
      if (problem !== null) {
        warn(item.key, `${JSON.stringify(item.key)} is left out: it is not a key of ours, ${problem}`)
        continue
      }
      const items = there.get(item.key)
      if (items === undefined) there.set(item.key, [item])
      else items.push(item)
    }
  }
  return there
}

/** What the shadow has, and at which tags. */
export interface Here {
  /** Of each live key of the shadow its hash. */
  readonly hashes: Map<string, Hash>
  readonly known: Map<string, Known>
  /** `known` is not sure to be what the shadow has. */
  doubt: boolean
}

/** After a crash between the shadow and the notes the shadow is read through; else the notes tell what it has. */
export async function lookHere({ shadow, notes }: Pick<Parts, 'shadow' | 'notes'>): Promise<Here> {
  const known = await notes.known()
  const { head } = await shadow.info()
  if ((await notes.cursor()) === head) {
    return { known, hashes: new Map(Array.from(known, ([key, { hash }]) => [key, hash])), doubt: false }
  }
  const hashes = new Map<string, Hash>()
  for await (const page of listPages(shadow, {})) for (const { key, hash } of page.items) hashes.set(key, hash)
  return { known, hashes, doubt: true }
}

/** The place and the shadow as they were looked at, kept up by those who change something. */
export interface Scene {
  readonly there: There
  readonly here: Here
}

/** True if the shadow has what is there, by all that is known without reading. */
export function inStep({ there, here }: Scene, key: string): boolean {
  const known = here.known.get(key)
  const tag = there.get(key)?.[0]?.tag
  if (tag === undefined || known?.tag !== tag) return tag === undefined && !here.hashes.has(key)
  return here.hashes.get(key) === known.hash
}

/** What a change of the shadow that is to bring it in step replaces. */
export async function expectationOf({ shadow }: Pick<Parts, 'shadow'>, key: string): Promise<Expectation> {
  const info = await shadow.head(key)
  if (info === null) return 'absent'
  return { version: info.version, hash: info.deleted ? info.entry : info.hash }
}

/** What came to be in step. */
interface Done {
  readonly known?: readonly (readonly [string, Known])[]
  readonly gone?: readonly string[]
  /** Intents whose outcome is known. */
  readonly settled?: readonly number[]
}

/** Notes what the shadow and the place have in common now; the shadow was changed before. */
export async function recordDone(
  { shadow, notes }: Pick<Parts, 'shadow' | 'notes'>,
  { here }: Scene,
  { known = [], gone = [], settled = [] }: Done,
): Promise<void> {
  for (const [key, one] of known) {
    here.known.set(key, one)
    here.hashes.set(key, one.hash)
  }
  for (const key of gone) {
    here.known.delete(key)
    here.hashes.delete(key)
  }
  const step = { known, gone, settled }
  await notes.record(here.doubt ? step : { ...step, cursor: (await shadow.info()).head })
}

/** Ends the doubt if everything that the shadow has is known. */
export async function endDoubt(parts: Pick<Parts, 'shadow' | 'notes'>, scene: Scene): Promise<void> {
  const { here } = scene
  if (!here.doubt || here.known.size !== here.hashes.size) return
  for (const [key, hash] of here.hashes) if (here.known.get(key)?.hash !== hash) return
  here.doubt = false
  await recordDone(parts, scene, {})
}
