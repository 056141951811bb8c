import { chmodSync, lstatSync, readdirSync, statfsSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { Inspection } from '../../store/contract/findings.ts'
import { isAside } from './aside.ts'

/** Less than this many bytes, or this part of the disk, is little. */
const LITTLE_BYTES = 256 * 1024 * 1024
const LITTLE_PART = 0.02
const PRIVATE_FOLDER = 0o700
const PRIVATE_FILE = 0o600

/** Permissions of all files of the store, room on its disk, what earlier repairs left. Nothing of it is damage. */
export function checkFiles(directory: string, inspection: Inspection): void {
  const warn = (code: 'permissions' | 'aside' | 'space', message: string, remedy: string): void =>
    inspection.report({ code, severity: 'warning', message, remedy })
  for (const { path, mode } of exposed(directory)) {
    const name = relative(directory, path) || directory
    const wanted = `chmod ${(mode & 0o40000 ? PRIVATE_FOLDER : PRIVATE_FILE).toString(8)} '${path}'`
    warn(
      'permissions',
      `${name} may be used by others than its owner (mode ${(mode & 0o777).toString(8)})`,
      `${wanted} · all: blobs doctor --repair`,
    )
  }
  for (const name of readdirSync(directory)) {
    if (isAside(name))
      warn('aside', `${name} holds what a repair replaced`, 'delete it when nothing in it is needed any more')
  }
  const { bavail, blocks, bsize } = statfsSync(directory)
  if (bavail * bsize < LITTLE_BYTES || bavail < blocks * LITTLE_PART) {
    const free = Math.round((bavail * bsize) / 1e6).toLocaleString('en-US')
    warn('space', `the disk of ${directory} has ${free} MB left`, 'make room: without it nothing can be written')
  }
}

/** What others than the owner have any permission for: the folder, and what is in it, but not in what was set aside. */
function* exposed(directory: string): Generator<{ readonly path: string; readonly mode: number }, void> {
  const { mode } = lstatSync(directory)
  if ((mode & 0o077) !== 0) yield { path: directory, mode }
  for (const item of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, item.name)
    if (item.isSymbolicLink() || isAside(item.name)) continue
    if (item.isDirectory()) yield* exposed(path)
    else {
      const stat = lstatSync(path, { throwIfNoEntry: false })
      if (stat !== undefined && (stat.mode & 0o077) !== 0) yield { path, mode: stat.mode }
    }
  }
}

/** Takes away from others what they should not be able to do with the files of a store; gives how many it were. */
export function makePrivate(directory: string): number {
  const found = [...exposed(directory)]
  for (const { path, mode } of found) chmodSync(path, mode & 0o700)
  return found.length
}
