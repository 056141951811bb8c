import { sha256 } from '../../src/content/hash.ts'
import type { ListItem } from '../../src/store/contract/types.ts'
import { parseConflictName } from '../../src/sync/core/conflict-name.ts'
import { foldOf, type Accounts, type Saved } from './accounts.ts'
import type { MemoryDisk } from './memory-file-system.ts'
import { outsideOf, ROOT } from './person.ts'
import type { Device, World } from './world.ts'

/** A law that does not hold. */
export class Violation extends Error {
  readonly law: string
  constructor(law: string, message: string) {
    super(`${law}: ${message}`)
    this.law = law
  }
}

export interface Past {
  restored: boolean
  lostState: boolean
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
  const add = (hash: string, at: string): void => {
    const path = at.normalize('NFC')
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
  checkVersions(versions, past)
  checkUntouchedSides(world, past)
  checkNoPhantoms(world, past)
}

async function checkConvergence({ devices, scheduler, server }: World): Promise<void> {
  const page = await scheduler.finish(server.store().list({ limit: 10_000 }))
  const keys = page.items.map(({ key }) => key)
  for (const device of devices) {
    const { name, disk } = device
    const listed = new Map(device.unsynced().map(({ path, code }) => [path, code]))
    const exempt = (path: string): boolean =>
      device.ignores(path) ||
      [path, path.normalize('NFC')].flatMap(prefixes).some((one) => isExcused(listed.get(one), one, keys, disk))
    const bucket = new Map<string, string>()
    for (const { key, hash, meta } of page.items)
      if (!key.endsWith('/') && !exempt(key)) bucket.set(key, (meta['mode'] === '755' ? '*' : '') + hash)
    const local = new Map<string, string>()
    for (const [path, { bytes, note }] of disk.tree(ROOT))
      if (bytes !== null && !path.startsWith('.blobs/') && !exempt(path))
        local.set(path.normalize('NFC'), note + hashOf(bytes))
    same('I2', `the tree of ${name} and the bucket`, local, bucket)
  }
  const plain = devices.filter((device) => device.unsynced().length === 0)
  const [first, ...others] = plain.filter(({ disk }) => [...disk.tree(ROOT).keys()].every(isPlain))
  for (const other of others)
    same('I2', `the folders of ${first?.name} and ${other.name}`, folders(first), folders(other))
}

function isPlain(path: string): boolean {
  return !path.endsWith('.blobsignore') && path === foldOf(path)
}

/** Folders are the same too, where no name and no rule stands in the way. */
function folders(device: Device | undefined): Map<string, string> {
  const paths = [...(device?.tree().keys() ?? [])].filter((path) => path.endsWith('/'))
  return new Map(paths.map((path) => [path, '']))
}

/** Whether a path is not in sync for a reason that holds. */
function isExcused(code: string | undefined, path: string, keys: readonly string[], disk: MemoryDisk): boolean {
  // Of a key and keys below it, a disk holds those below; and what the rules leave alone keeps its name.
  if (code === 'file-and-folder')
    return keys.some((key) => key.startsWith(`${path}/`)) || kindAt(disk, path) === 'folder'
  if (code !== 'name-clash') return false
  const names = [...keys, ...disk.tree(ROOT).keys()].flatMap(prefixes)
  return prefixes(path).some((one) => names.some((other) => other !== one && foldOf(other) === foldOf(one)))
}

function isAtOrAbove(one: string, path: string): boolean {
  return one === path || path.startsWith(`${one}/`)
}

/** A path and the folders above it. */
function prefixes(path: string): string[] {
  const parts = path.replace(/\/$/, '').split('/')
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
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

function vouch(accounts: Accounts, where: string, at: string, hash: string): void {
  const path = plainName(at.normalize('NFC'))
  if (accounts.knows(path, hash)) return
  const original = parseConflictName(path)?.path ?? path
  if (accounts.knows(original, hash)) return
  // A sibling whose folder is gone is at the top; who moves folders takes siblings with them.
  const name = original.slice(original.lastIndexOf('/') + 1)
  if (original !== path && accounts.knowsName(name, hash)) return
  if (original.startsWith('recovered-')) return
  throw new Violation('I9', `nobody ever saved what ${where} has at ${path} (${hash.slice(0, 8)})`)
}

/** Without what resolving a conflict adds to the name of a file that is kept beside its original. */
function plainName(path: string): string {
  return path.replace(/ \([a-c] \d{4}-\d\d-\d\d(?: \d+)?\)(?=\.|$)/, '')
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

/** Edited while it was left alone, it may come back as a conflict with what the bucket has: no base tells which is the older. */
function isBeside(disk: MemoryDisk, path: string, hash: string): boolean {
  return [...disk.tree(ROOT)].some(
    ([other, { bytes }]) => bytes !== null && parseConflictName(other)?.path === path && hashOf(bytes) === hash,
  )
}

function checkUntouchedSides(world: World, { restored, lostState }: Past): void {
  if (restored || lostState) return
  const { accounts, devices } = world
  for (const [path, { device, hash }] of accounts.untouchedByOthers()) {
    if (hash !== null && devices.some(({ disk }) => kindAt(disk, path) === 'folder')) continue
    if (devices.some(({ unsynced }) => unsynced().some((one) => isAtOrAbove(one.path.normalize('NFC'), path)))) continue
    const ignored = accounts.everIgnored(path)
    // What was left alone for a while comes back as if it were seen for the first time, and no deletion follows from that.
    if (ignored && hash === null) continue
    for (const { name, disk } of devices) {
      const tree = [...disk.tree(ROOT)].filter(([other]) => other.normalize('NFC') === path)
      // What is left alone is left alone everywhere: only whoever wrote it has it for sure.
      if ((ignored && name !== device) || tree.length > 1) continue
      const bytes = tree[0]?.[1].bytes ?? null
      const there = bytes === null ? null : hashOf(bytes)
      if (there === hash || path !== foldOf(path)) continue
      if (ignored && hash !== null && isBeside(disk, path, hash)) continue
      const wanted = hash === null ? 'nothing' : 'what was saved last'
      throw new Violation('I8', `${path} was touched by one device alone, and ${name} does not hold ${wanted}`)
    }
  }
}

function kindAt(disk: MemoryDisk, path: string): string | undefined {
  return disk.fs.lstat(`${ROOT}/${path}`)?.kind
}

/** No version stands for what is no change. */
function checkVersions(versions: readonly ListItem[], { restored }: Past): void {
  if (restored) return
  const before = new Map<string, ListItem>()
  for (const item of [...versions].sort((a, b) => a.version - b.version)) {
    const last = before.get(item.key)
    before.set(item.key, item)
    if (last === undefined || last.deleted || item.deleted) continue
    if (last.hash === item.hash && last.meta['mode'] === item.meta['mode'] && !item.key.endsWith('/'))
      throw new Violation('I19', `versions ${last.version} and ${item.version} of ${item.key} are the same`)
  }
}

function checkNoPhantoms({ devices, accounts }: World, { restored, lostState }: Past): void {
  if (restored || lostState) return
  const alone = accounts.writers().size === 1
  for (const { name, disk } of devices) {
    for (const [path, { bytes }] of disk.tree(ROOT)) {
      const original = parseConflictName(path)?.path
      if (path.startsWith('.blobs/') || original === undefined || bytes === null) continue
      if (accounts.everIgnored(original) || accounts.everIgnoredBelow(original)) continue
      if (alone && !accounts.isWantedBack(original))
        throw new Violation('I5', `one person alone wrote, and ${name} has ${path}`)
      if (accounts.knows(original, hashOf(bytes)) && !accounts.hasRival(original, hashOf(bytes)))
        throw new Violation('I5', `nobody saved anything at ${original} without knowing what ${name} has at ${path}`)
    }
  }
}

/** Of a world whose agents have been started anew, or met with no error when they cleared up. */
export function checkTidiness({ devices }: World): void {
  for (const { name, disk, person } of devices) {
    const left = [...disk.tree(`${ROOT}/.blobs/tmp`).keys()]
    if (outsideOf(disk) !== person.leftOutside())
      throw new Violation('I21', `${name} has touched what is beyond a link`)
    if (left.length > 0) throw new Violation('I10', `the temporary folder of ${name} holds ${left.join(', ')}`)
  }
}
