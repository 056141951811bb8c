import { sha256 } from '../../src/content/hash.ts'
import type { ListItem } from '../../src/store/contract/types.ts'
import { parseConflictName } from '../../src/sync/core/conflict-name.ts'
import type { Saved } from './accounts.ts'
import { outsideOf, ROOT } from './person.ts'
import type { World } from './world.ts'

/** A law that does not hold. */
export class Violation extends Error {
  readonly law: string
  constructor(law: string, message: string) {
    super(`${law}: ${message}`)
    this.law = law
  }
}

export interface Past {
  readonly restored: boolean
  readonly lostState: boolean
}

/** Where bytes can be found: by name of their place, which tells the path they were saved at. */
export type Places = ReadonlyMap<string, ReadonlySet<string>>

const TRASHED = /^\.blobs\/trash\/[^/]+\/(.*)$/

/** All places in which bytes may be found again, by hash. */
export async function findPlaces(world: World): Promise<Places> {
  const places = new Map<string, Set<string>>()
  const add = (hash: string, path: string): void => {
    const known = places.get(hash)
    if (known) known.add(path)
    else places.set(hash, new Set([path]))
  }
  for (const { disk } of world.devices) {
    for (const [path, { bytes, note }] of disk.tree(ROOT)) {
      if (bytes === null || note === 'link' || path.startsWith('.blobs/tmp/')) continue
      const from = TRASHED.exec(path)?.[1] ?? path
      const original = parseConflictName(from)?.path ?? from
      const hash = sha256(bytes)
      add(hash, original)
      if (original !== from || original.startsWith('recovered-')) add(hash, `top: ${original}`)
    }
  }
  for (const item of await versions(world)) {
    add(item.hash, item.key)
    add(item.hash, parseConflictName(item.key)?.path ?? item.key)
  }
  return places
}

export function isFindable(places: Places, { path, hash, anywhere }: Saved): boolean {
  const at = places.get(hash)
  if (at === undefined) return false
  if (anywhere || at.has(path)) return true
  const base = path.slice(path.lastIndexOf('/') + 1)
  return [...at].some((place) => place === `top: ${base}` || place.startsWith('top: recovered-'))
}

async function versions(world: World): Promise<readonly ListItem[]> {
  const list = world.server.store().list({ versions: true, deleted: true, limit: 10_000 })
  return (await world.scheduler.finish(list)).items
}

/** Everything that must hold of a world that says it is idle. Throws a `Violation`. */
export async function checkLaws(world: World, past: Past): Promise<void> {
  await checkConvergence(world)
  await checkNothingLost(world)
  checkUntouchedSides(world, past)
  checkNoPhantoms(world, past)
}

async function checkConvergence(world: World): Promise<void> {
  const [first, ...others] = world.devices
  if (first === undefined) return
  const tree = first.tree()
  for (const other of others) same('I2', `the trees of ${first.name} and ${other.name}`, tree, other.tree())
  const page = await world.scheduler.finish(world.server.store().list({ limit: 10_000 }))
  const bucket = new Map<string, string>()
  const isClash = clashes(page.items.map(({ key }) => key))
  for (const { key, hash, meta } of page.items) {
    if (key.endsWith('/') || isClash(key)) continue
    bucket.set(key, (meta['mode'] === '755' ? '*' : '') + hash)
  }
  const local = new Map<string, string>()
  for (const [path, { bytes, note }] of first.disk.tree(ROOT)) {
    if (bytes !== null && !path.startsWith('.blobs/')) local.set(path, note + sha256(bytes))
  }
  same('I2', `the tree of ${first.name} and the bucket`, local, bucket)
}

/** Of a key and keys below it, a disk holds those below: declared as `file-and-folder`. */
function clashes(keys: readonly string[]): (path: string) => boolean {
  return (path) => keys.some((key) => key.startsWith(`${path}/`))
}

function same(law: string, what: string, a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): void {
  const keys = new Set([...a.keys(), ...b.keys()])
  const differ = [...keys].sort().filter((key) => a.get(key) !== b.get(key))
  if (differ.length === 0) return
  const shown = differ.map((key) => `${key} (${shortly(a.get(key))} | ${shortly(b.get(key))})`)
  throw new Violation(law, `${what} differ in ${shown.join(', ')}`)
}

function shortly(text: string | undefined): string {
  return text === undefined ? 'absent' : JSON.stringify(text.slice(0, 24))
}

async function checkNothingLost(world: World): Promise<void> {
  const places = await findPlaces(world)
  for (const saved of world.accounts.owed()) {
    if (isFindable(places, saved)) continue
    const elsewhere = [...(places.get(saved.hash) ?? [])]
    const found = elsewhere.length === 0 ? 'nowhere' : `only as ${elsewhere.join(', ')}`
    throw new Violation('I1', `what ${saved.device} saved at ${saved.path} is found ${found}`)
  }
}

function checkUntouchedSides(world: World, { restored, lostState }: Past): void {
  if (restored || lostState) return
  for (const [path, hash] of world.accounts.untouchedByOthers()) {
    if (hash !== null && world.devices.some(({ disk }) => disk.fs.lstat(`${ROOT}/${path}`)?.kind === 'folder')) continue
    for (const { name, disk } of world.devices) {
      const bytes = disk.tree(ROOT).get(path)?.bytes ?? null
      const there = bytes === null ? null : sha256(bytes)
      if (there === hash) continue
      const wanted = hash === null ? 'nothing' : 'what was saved last'
      throw new Violation('I8', `${path} was touched by one device alone, and ${name} does not hold ${wanted}`)
    }
  }
}

function checkNoPhantoms(world: World, { restored, lostState }: Past): void {
  if (restored || lostState || world.accounts.writers().size !== 1) return
  for (const { name, disk } of world.devices) {
    for (const path of disk.tree(ROOT).keys()) {
      if (!path.startsWith('.blobs/') && parseConflictName(path) !== null)
        throw new Violation('I5', `one person alone wrote, and ${name} has ${path}`)
    }
  }
}

/** Of a world whose agents have been started anew, which is when they clear up. */
export function checkTidiness({ devices }: World): void {
  for (const { name, disk, person } of devices) {
    const left = [...disk.tree(`${ROOT}/.blobs/tmp`).keys()]
    if (outsideOf(disk) !== person.leftOutside())
      throw new Violation('I21', `${name} has touched what is beyond a link`)
    if (left.length > 0) throw new Violation('I10', `the temporary folder of ${name} holds ${left.join(', ')}`)
  }
}
