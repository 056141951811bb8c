import { sha256 } from '../../src/content/hash.ts'
import type { ListItem } from '../../src/store/contract/types.ts'
import { parseConflictName } from '../../src/sync/core/conflict-name.ts'
import type { Accounts, Saved } from './accounts.ts'
import type { MemoryDisk } from './memory-file-system.ts'
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
  return placesOf(world, await versionsOf(world))
}

function placesOf(world: World, versions: readonly ListItem[]): Places {
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
      const hash = hashOf(bytes)
      add(hash, original)
      if (original !== from || original.startsWith('recovered-')) add(hash, `top: ${original}`)
    }
  }
  for (const item of versions) {
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

async function versionsOf(world: World): Promise<readonly ListItem[]> {
  const list = world.server.store().list({ versions: true, deleted: true, limit: 10_000 })
  return (await world.scheduler.finish(list)).items
}

/** Everything that must hold of a world that says it is idle. Throws a `Violation`. */
export async function checkLaws(world: World, past: Past): Promise<void> {
  await checkConvergence(world)
  const versions = await versionsOf(world)
  checkNothingLost(world, versions)
  checkNothingInvented(world, versions)
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
    if (bytes !== null && !path.startsWith('.blobs/')) local.set(path, note + hashOf(bytes))
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

function checkNothingLost(world: World, versions: readonly ListItem[]): void {
  const places = placesOf(world, versions)
  for (const saved of world.accounts.owed()) {
    if (isFindable(places, saved)) continue
    const elsewhere = [...(places.get(saved.hash) ?? [])]
    const found = elsewhere.length === 0 ? 'nowhere' : `only as ${elsewhere.join(', ')}`
    throw new Violation('I1', `what ${saved.device} saved at ${saved.path} is found ${found}`)
  }
}

/** Whatever is anywhere was saved there by somebody, whole: nothing is cut, mixed or made up. */
function checkNothingInvented({ devices, accounts }: World, versions: readonly ListItem[]): void {
  for (const { name, disk } of devices) checkHonesty(name, disk, accounts)
  for (const { key, version, hash, deleted } of versions)
    if (!deleted && !key.endsWith('/')) vouch(accounts, `version ${version} in the bucket`, key, hash)
}

/** The same of one disk, at any time. */
export function checkHonesty(name: string, disk: MemoryDisk, accounts: Accounts): void {
  for (const [path, { bytes, note }] of disk.tree(ROOT)) {
    if (bytes === null || note === 'link') continue
    if (path.startsWith('.blobs/') && !TRASHED.test(path)) continue
    vouch(accounts, name, TRASHED.exec(path)?.[1] ?? path, hashOf(bytes))
  }
}

function vouch(accounts: Accounts, where: string, path: string, hash: string): void {
  if (accounts.knows(path, hash)) return
  const original = parseConflictName(path)?.path ?? path
  if (accounts.knows(original, hash)) return
  // A sibling whose folder is gone is at the top; who moves folders takes siblings with them.
  const name = original.slice(original.lastIndexOf('/') + 1)
  if (original !== path && accounts.knowsName(name, hash)) return
  if (original.startsWith('recovered-')) return
  throw new Violation('I9', `nobody ever saved what ${where} has at ${path} (${hash.slice(0, 8)})`)
}

const hashes = new WeakMap<Uint8Array, string>()

/** Of bytes that never change. */
function hashOf(bytes: Uint8Array): string {
  const known = hashes.get(bytes)
  if (known !== undefined) return known
  const hash = sha256(bytes)
  hashes.set(bytes, hash)
  return hash
}

function checkUntouchedSides(world: World, { restored, lostState }: Past): void {
  if (restored || lostState) return
  for (const [path, hash] of world.accounts.untouchedByOthers()) {
    if (hash !== null && world.devices.some(({ disk }) => disk.fs.lstat(`${ROOT}/${path}`)?.kind === 'folder')) continue
    for (const { name, disk } of world.devices) {
      const bytes = disk.tree(ROOT).get(path)?.bytes ?? null
      const there = bytes === null ? null : hashOf(bytes)
      if (there === hash) continue
      const wanted = hash === null ? 'nothing' : 'what was saved last'
      throw new Violation('I8', `${path} was touched by one device alone, and ${name} does not hold ${wanted}`)
    }
  }
}

function checkNoPhantoms({ devices, accounts }: World, { restored, lostState }: Past): void {
  if (restored || lostState) return
  const alone = accounts.writers().size === 1
  for (const { name, disk } of devices) {
    for (const [path, { bytes }] of disk.tree(ROOT)) {
      const original = parseConflictName(path)?.path
      if (path.startsWith('.blobs/') || original === undefined || bytes === null) continue
      if (alone) throw new Violation('I5', `one person alone wrote, and ${name} has ${path}`)
      if (accounts.knows(original, hashOf(bytes)) && !accounts.hasRival(original, hashOf(bytes)))
        throw new Violation('I5', `nobody saved anything at ${original} without knowing what ${name} has at ${path}`)
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
