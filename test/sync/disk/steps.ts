import * as nodeFs from 'node:fs'
import { join } from 'node:path'
import { EMPTY_HASH, sha256 } from '../../../src/content/hash.ts'
import type { FileSystem } from '../../../src/platform/ports.ts'
import { systemClock, systemIds } from '../../../src/platform/system.ts'
import type { Content } from '../../../src/sync/core/types.ts'
import { openDisk, type Disk, type DiskWork, type Source } from '../../../src/sync/disk/transition.ts'
import { disk, type TestFolder } from './folder.ts'

const FOLDER: Content = { kind: 'folder', hash: EMPTY_HASH, size: 0, executable: false }
export const file = (text: string, executable = false): Content => {
  const bytes = Buffer.from(text)
  return { kind: 'file', hash: sha256(bytes), size: bytes.byteLength, executable }
}

export function bucket(...pieces: (string | Error)[]): Source & { from: 'bucket' } {
  return {
    from: 'bucket',
    open: async function* () {
      for (const piece of pieces) {
        if (piece instanceof Error) throw piece
        yield Buffer.from(piece)
      }
    },
  }
}

interface More {
  readonly mtimeNs?: bigint
  readonly identity?: string
  readonly executable?: boolean
  readonly source?: Source | null
}
const AN_HOUR_AGO = () => BigInt(Date.now() - 3_600_000) * 1_000_000n

/** The bucket's text comes to a path; `replaces` is the text that is there. */
export function download(path: string, text: string, replaces: Content | null, more: More = {}): DiskWork {
  const remote = { ...file(text, more.executable ?? false), version: 2 }
  const source = more.source === undefined ? ({ from: 'memory', bytes: Buffer.from(text) } as const) : more.source
  return {
    step: { type: 'download', path, remote, replaces },
    source,
    mtimeNs: more.mtimeNs ?? AN_HOUR_AGO(),
    identity: more.identity ?? null,
  }
}
export function folderComes(path: string): DiskWork {
  const step = { type: 'download', path, remote: { ...FOLDER, version: 1 }, replaces: null } as const
  return { step, source: null, mtimeNs: null, identity: null }
}
export function removal(path: string, replaces: Content, identity: string | null = null): DiskWork {
  return { step: { type: 'delete-local', path, replaces, base: null }, identity }
}
export function conflict(path: string, local: string, remote: string | null): DiskWork {
  const content = remote === null ? null : { ...file(remote), version: 2 }
  return {
    step: { type: 'conflict', path, local: file(local), remote: content },
    source: remote === null ? null : bucket(remote),
    mtimeNs: AN_HOUR_AGO(),
    identity: null,
  }
}

export function openTestDisk(folder: TestFolder, fs: FileSystem = disk, clock = systemClock): Disk & { state: string } {
  const { state } = folder
  return {
    ...openDisk({ fs, root: folder.root, stateDirectory: state, device: 'laptop', clock, ids: systemIds }),
    state,
  }
}

/** Every file of the folder and its trash by path, without the marker and what comes with it; folders that are empty with a slash. */
export function contents(folder: TestFolder, below = ''): Record<string, string> {
  const found: Record<string, string> = {}
  for (const item of nodeFs.readdirSync(join(folder.path, below), { withFileTypes: true })) {
    const path = below === '' ? item.name : `${below}/${item.name}`
    if (path === '.blobs/root.json' || path === '.blobs/.gitignore') continue
    if (item.isSymbolicLink()) found[path] = `-> ${nodeFs.readlinkSync(join(folder.path, path))}`
    else if (item.isFile()) found[path] = nodeFs.readFileSync(join(folder.path, path), 'utf8')
    else {
      const inside = contents(folder, path)
      if (Object.keys(inside).length === 0 && !path.startsWith('.blobs')) found[`${path}/`] = ''
      Object.assign(found, inside)
    }
  }
  return found
}

/** The same without `.blobs/`, and with what the trash holds as a list. */
export function split(folder: TestFolder): { files: Record<string, string>; trash: string[]; tmp: string[] } {
  const all = Object.entries(contents(folder))
  const within = (start: string) => all.filter(([path]) => path.startsWith(start)).map(([, text]) => text)
  return {
    files: Object.fromEntries(all.filter(([path]) => !path.startsWith('.blobs/'))),
    trash: within('.blobs/trash/').sort(),
    tmp: within('.blobs/tmp/').sort(),
  }
}
