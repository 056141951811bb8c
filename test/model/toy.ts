import { sha256 } from '../../src/content/hash.ts'
import { conflictName } from '../../src/sync/core/conflict-name.ts'
import type { Devices } from './commands.ts'
import type { Value } from './spec.ts'

/** What can be wrong with a sync engine. */
export type Flaw =
  | 'none'
  | 'an edit is overwritten by what comes'
  | 'a write does not say what it replaces'
  | 'equal bytes conflict'
  | 'what is missing becomes a conflict file'
  | 'a deletion beats an edit'
  | 'lost memory deletes'
  | 'a record is made before the act'
  | 'one device is never told'

interface Toy {
  files: Map<string, string>
  /** By path: the version that disk and server last agreed on. */
  base: Map<string, number>
}

/** The smallest engine that keeps the model's rules: each sync is one step, and the test of the checker breaks it. */
export function openToys(count: number, paths: readonly string[], flaw: Flaw): Devices {
  const log = new Map<string, Value[]>()
  const toys = Array.from({ length: count }, (): Toy => ({ files: new Map(), base: new Map() }))
  const at = (device: number): Toy => {
    const toy = toys[device]
    if (toy === undefined) throw new Error(`there is no device ${device}`)
    return toy
  }
  const put = (toy: Toy, path: string, value: Value): void =>
    void (value === null ? toy.files.delete(path) : toy.files.set(path, value))
  const take = (toy: Toy, path: string, versions: readonly Value[], acts = true): void => {
    const newest = versions.length - 1
    if (acts) put(toy, path, versions[newest] ?? null)
    toy.base.set(path, versions[newest] === null ? 0 : newest)
  }
  const send = (toy: Toy, path: string, value: Value): void => {
    const versions = [...(log.get(path) ?? [null]), value]
    log.set(path, versions)
    toy.base.set(path, value === null ? 0 : versions.length - 1)
  }
  const syncPath = (device: number, path: string, acts: boolean): void => {
    const toy = at(device)
    const versions = log.get(path) ?? [null]
    const mine = toy.files.get(path) ?? null
    const theirs = versions.at(-1) ?? null
    const base = toy.base.get(path) ?? 0
    const known = versions[base] ?? null
    if (flaw === 'one device is never told' && device === 0 && mine === known) return
    if (flaw === 'lost memory deletes' && base === 0 && mine === null && theirs !== null && versions.length > 2)
      return send(toy, path, null)
    if (mine === theirs && flaw !== 'equal bytes conflict') return take(toy, path, versions)
    if (mine === known || flaw === 'an edit is overwritten by what comes') return take(toy, path, versions, acts)
    if (theirs === known || flaw === 'a write does not say what it replaces') return send(toy, path, mine)
    if (mine === null && flaw === 'a deletion beats an edit') return send(toy, path, null)
    if (mine === null && flaw !== 'what is missing becomes a conflict file') return take(toy, path, versions)
    if (theirs === null) return send(toy, path, mine)
    if (versions.slice(base + 1).includes(mine) && flaw !== 'equal bytes conflict') return take(toy, path, versions)
    const hash = sha256(Buffer.from(mine ?? ''))
    toy.files.set(conflictName({ path, mtimeNs: 0n, device: `d${device}`, hash, hashLength: 8 }), mine ?? '')
    take(toy, path, versions)
  }
  const sync = (device: number, acts = true): void => {
    for (const path of new Set([...log.keys(), ...at(device).files.keys(), ...at(device).base.keys()]))
      syncPath(device, path, acts)
  }
  return {
    count,
    paths,
    text: (letter) => letter,
    read: (device, path) => at(device).files.get(path) ?? null,
    write: (device, path, value) => {
      const found = at(device).files.get(path) ?? null
      put(at(device), path, value)
      return found
    },
    go: async (device) => sync(device),
    during: async (_device, _moment, act) => act(),
    kill: async (device, { lost }) => {
      if (flaw === 'a record is made before the act') sync(device, false)
      if (lost) at(device).base.clear()
    },
    disturb: () => undefined,
    settle: async () => {
      for (let turn = 0; turn <= count; turn++) for (let device = 0; device < count; device++) sync(device)
    },
    tree: (device) => Object.fromEntries(at(device).files),
  }
}
