import { dirname } from 'node:path/posix'
import { sha256 } from '../../src/content/hash.ts'
import type { Keep } from '../../src/sync/agent.ts'
import { openAbsence, type Absence } from './absence.ts'
import { foldOf, type Accounts } from './accounts.ts'
import type { MemoryDisk } from './memory-file-system.ts'

export const ROOT = '/home/sync'
const OUTSIDE = '/home/outside'

/** What a person does in a folder. Each act happens in one instant, and is durable; what the disk does not allow is not done. */
export type Deed =
  | {
      readonly type: 'write'
      readonly path: string
      readonly text: string
      readonly style: 'in place' | 'rename' | 'anew'
    }
  | { readonly type: 'remove'; readonly path: string }
  | { readonly type: 'move'; readonly path: string; readonly to: string }
  | { readonly type: 'chmod'; readonly path: string; readonly mode: number }
  | { readonly type: 'mkdir'; readonly path: string }
  /** The folder goes out of the root, and a link to it stands in its place. */
  | { readonly type: 'swap for link'; readonly path: string }
  /** Two files or folders get each other's name. */
  | { readonly type: 'swap'; readonly path: string; readonly to: string }
  /** Another modification time and nothing else. */
  | { readonly type: 'touch'; readonly path: string; readonly at: number }
  | { readonly type: 'open'; readonly path: string }
  | { readonly type: 'write to what is open'; readonly text: string }

export interface Person {
  /** Nothing, while the folder is away. */
  do(deed: Deed): void
  /**
   * The same in the midst of what an agent does. It may just hold a folder open, to put something into it: where that is moved out of the
   * root in this very instant, it takes along what comes.
   */
  doMeanwhile(deed: Deed): void
  readonly absence: Absence
  /** What resolving a conflict is about to do with the bytes of both files. */
  resolves(original: string, sibling: string, keep: Keep): void
  /** Closes files, removes links and gives rights back. */
  tidy(): void
  /** What is beyond the links, as the person left it. */
  leftOutside(): string
}

/** What is beyond links, which no sync may ever touch. */
export function outsideOf(disk: MemoryDisk): string {
  return JSON.stringify([...disk.tree(OUTSIDE)].map(([path, { bytes, note }]) => [path, note, bytes && sha256(bytes)]))
}

const NOT_ALLOWED = new Set([
  'EISDIR',
  'ENOTDIR',
  'EEXIST',
  'ENOENT',
  'EACCES',
  'ENOTEMPTY',
  'EINVAL',
  'ELOOP',
  'ENOSPC',
])

const RULES = '.blobsignore'

/** A bucket knows names in one Unicode form, whatever the disk has. */
function byKey(accounts: Accounts): Accounts {
  const key = (path: string): string => path.normalize('NFC')
  return {
    ...accounts,
    saved: (device, path, bytes, over) => {
      accounts.saved(device, key(path), bytes, over)
      // Its twin in the other form, if there is one, may be the one that is in sync.
      if (path !== key(path)) accounts.muddied(key(path))
    },
    gone: (device, path, bytes) => accounts.gone(device, key(path), bytes),
    moved: (device, from, to, bytes) => accounts.moved(device, key(from), key(to), bytes),
    altered: (device, path, bytes) => accounts.altered(device, key(path), bytes),
    madeFolder: (path) => accounts.madeFolder(key(path)),
    muddied: (path) => accounts.muddied(key(path)),
  }
}

export function openPerson(device: string, disk: MemoryDisk, books: Accounts): Person {
  const { fs } = disk
  const accounts = byKey(books)
  const absence = openAbsence(disk, ROOT)
  let folders = 0
  let made: string[] = []
  let left = outsideOf(disk)
  let open: {
    readonly path: string
    readonly file: ReturnType<MemoryDisk['openForWriting']>
    bytes: Uint8Array
  } | null = null
  const at = (path: string): string => `${ROOT}/${path}`

  const isBeyondLink = (path: string): boolean =>
    path.split('/').some((_, i, parts) => fs.lstat(at(parts.slice(0, i + 1).join('/')))?.kind === 'symlink')

  /** Files at or below a path, without those beyond links. */
  const files = (path: string): [string, Uint8Array][] => {
    const stat = fs.lstat(at(path))
    const inside = [...disk.tree(at(path))].flatMap(([name, { bytes, note }]): [string, Uint8Array][] =>
      bytes === null || note === 'link' ? [] : [[`${path}/${name}`, bytes]],
    )
    if (stat?.kind === 'folder') return inside
    const bytes = stat?.kind === 'file' ? read(path) : null
    return bytes === null ? [] : [[path, bytes]]
  }
  const read = (path: string): Uint8Array | null => {
    const name = path.slice(path.lastIndexOf('/') + 1)
    return disk.tree(at(path).slice(0, -name.length - 1)).get(name)?.bytes ?? null
  }
  const makeFolders = (path: string): void => {
    const folder = dirname(path)
    if (folder === '.' || fs.lstat(at(folder))) return
    makeFolders(folder)
    fs.mkdir(at(folder))
    accounts.madeFolder(folder)
    made.push(folder)
  }
  const removeTree = (path: string): void => {
    const stat = fs.lstat(path)
    if (stat?.kind === 'folder') {
      for (const { name } of fs.list(path)) removeTree(`${path}/${name ?? ''}`)
      fs.rmdir(path)
    } else if (stat) fs.unlink(path)
  }
  const rule = (path: string, bytes: Uint8Array): void => {
    if (path !== RULES && !path.endsWith(`/${RULES}`)) return
    accounts.ruled(dirname(`/${path}`).slice(1), Buffer.from(bytes).toString())
  }
  const put = (path: string, text: string, style: string): void => {
    makeFolders(path)
    const bytes = Buffer.from(text)
    const before = files(path)
    const stat = fs.lstat(at(path))
    if (stat && stat.kind !== 'file') return
    if (stat && style === 'in place') disk.writeInPlace(at(path), bytes)
    else {
      const temporary = `/home/new-file`
      removeTree(temporary)
      disk.makeFile(temporary, bytes)
      if (stat && style === 'anew') fs.unlink(at(path))
      fs.rename(temporary, at(path))
    }
    for (const [name, old] of before) accounts.gone(device, name, old)
    rule(path, bytes)
    accounts.saved(device, path, bytes, before.find(([name]) => name === path)?.[1] ?? null)
  }
  const remove = (path: string): void => {
    const before = files(path)
    removeTree(at(path))
    for (const [name, bytes] of before) accounts.gone(device, name, bytes)
  }
  const move = (path: string, to: string): void => {
    const there = fs.lstat(at(to))
    // Another spelling of the same name, on a disk to which both are one.
    if (there && there.ino !== fs.lstat(at(path))?.ino) return
    const before = files(path)
    makeFolders(to)
    const folders = fs.lstat(at(path))?.kind === 'folder' ? ['/', ...disk.tree(at(path)).keys()] : []
    fs.renameNew(at(path), at(to))
    for (const inner of folders) if (inner.endsWith('/')) accounts.madeFolder(`${to}/${inner}`.replace(/\/+$/, ''))
    for (const [name, bytes] of before) {
      const next = to + name.slice(path.length)
      accounts.moved(device, name, next, bytes)
      rule(next, bytes)
    }
  }
  const swap = (path: string): void => {
    if (fs.lstat(at(path))?.kind !== 'folder') return
    const before = files(path)
    const target = `${OUTSIDE}/${folders++}`
    fs.renameNew(at(path), target)
    try {
      disk.symlink(target, at(path))
    } catch (error) {
      fs.renameNew(target, at(path))
      throw error
    }
    for (const [name, bytes] of before) {
      accounts.gone(device, name, bytes)
      accounts.muddied(name)
    }
    accounts.muddied(path)
  }
  const exchange = (path: string, to: string): void => {
    if (`${path}/`.startsWith(`${to}/`) || `${to}/`.startsWith(`${path}/`)) return
    if (!fs.lstat(at(path)) || !fs.lstat(at(to))) return
    const between = 'swapping'
    for (const [from, next] of [
      [path, between],
      [to, path],
      [between, to],
    ] as const)
      move(from, next)
  }
  /** As the disk spells it. */
  const actual = (path: string): string => {
    let found = ''
    for (const name of path.split('/')) {
      const names = fs.lstat(`${ROOT}/${found}`)?.kind === 'folder' ? fs.list(`${ROOT}/${found}`) : []
      const known = names.find((item) => item.name === name) ? name : sameName(found, name, names)
      found = found === '' ? known : `${found}/${known}`
    }
    return found
  }
  const spelled = (deed: Deed): Deed => {
    if (!('path' in deed)) return deed
    const path = actual(deed.path)
    if (!('to' in deed)) return { ...deed, path }
    // A new name is the person's choice, the way to it is not.
    const cut = deed.to.lastIndexOf('/')
    return { ...deed, path, to: cut < 0 ? deed.to : actual(deed.to.slice(0, cut)) + deed.to.slice(cut) }
  }
  const sameName = (folder: string, name: string, names: readonly { readonly name: string | null }[]): string => {
    const there = fs.lstat(`${ROOT}/${folder}/${name}`)
    if (!there) return name
    return names.find((item) => item.name !== null && foldOf(item.name) === foldOf(name))?.name ?? name
  }
  /** What a person does with a file that is open in a program is done by that program. */
  const closeAt = (path: string): void => {
    if (open === null || !(open.path === path || open.path.startsWith(`${path}/`))) return
    open.file.close()
    open = null
  }
  const act = (asked: Deed): void => {
    const deed = spelled(asked)
    if ('path' in deed && deed.type !== 'open') closeAt(deed.path)
    if (deed.type === 'write') put(deed.path, deed.text, deed.style)
    else if (deed.type === 'remove') remove(deed.path)
    else if (deed.type === 'move') move(deed.path, deed.to)
    else if (deed.type === 'chmod') {
      fs.chmod(at(deed.path), deed.mode)
      for (const [name, bytes] of files(deed.path)) accounts.altered(device, name, bytes)
    } else if (deed.type === 'mkdir') {
      makeFolders(deed.path)
      fs.mkdir(at(deed.path))
      accounts.madeFolder(deed.path)
      accounts.muddied(deed.path)
    } else if (deed.type === 'swap for link') swap(deed.path)
    else if (deed.type === 'swap') exchange(deed.path, actual(deed.to))
    else if (deed.type === 'touch') fs.setModified(at(deed.path), BigInt(deed.at) * 1_000_000n)
    else if (deed.type === 'open') {
      if (open) return
      open = { path: deed.path, file: disk.openForWriting(at(deed.path)), bytes: read(deed.path) ?? new Uint8Array() }
      accounts.muddied(deed.path)
    } else if (open) {
      const bytes = Buffer.from(deed.text)
      open.file.write(bytes)
      accounts.gone(device, open.path, open.bytes)
      accounts.saved(device, open.path, bytes, 'unknown')
      open = { ...open, bytes }
    }
  }
  const allowed = (act: () => void): void => {
    made = []
    try {
      disk.durably(act)
    } catch (error) {
      if (!NOT_ALLOWED.has((error as NodeJS.ErrnoException).code ?? '')) throw error
      // What was made on the way to it stays.
      for (const folder of made) accounts.muddied(folder)
    }
  }
  const once = (deed: Deed): void => {
    if (absence.isAway()) return
    allowed(() => {
      if ('path' in deed && isBeyondLink(deed.path)) return
      if ('to' in deed && isBeyondLink(deed.to)) return
      accounts.acted(device)
      act(deed)
    })
    if (deed.type === 'swap for link' || deed.type === 'write to what is open') left = outsideOf(disk)
  }
  const giveRightsBack = (folder: string): void => {
    for (const { name, kind } of fs.list(folder)) {
      const path = `${folder}/${name ?? ''}`
      if (kind === 'symlink') fs.unlink(path)
      const mode = fs.lstat(path)?.mode ?? 0
      if (kind === 'folder' && (mode & 0o700) !== 0o700) fs.chmod(path, 0o755)
      if (kind === 'file' && (mode & 0o600) !== 0o600) fs.chmod(path, mode | 0o600)
      if (kind === 'folder' && folder + '/.blobs' !== path) giveRightsBack(path)
    }
  }
  return {
    absence,
    resolves: (original, sibling, keep) => {
      const bytes = read(sibling)
      accounts.muddied(original)
      accounts.muddied(sibling)
      if (bytes === null) return
      const replaced = keep === 'mine' ? read(original) : null
      if (replaced !== null) accounts.gone(device, original, replaced)
      if (keep === 'theirs') accounts.gone(device, sibling, bytes)
      else accounts.moved(device, sibling, original, bytes)
    },
    do: once,
    doMeanwhile: (deed) => {
      once(deed)
      // When the calls are over that belong together.
      if (deed.type === 'swap for link') queueMicrotask(() => void (left = outsideOf(disk)))
    },
    leftOutside: () => left,
    tidy: () => {
      open?.file.close()
      open = null
      allowed(() => giveRightsBack(ROOT))
    },
  }
}
