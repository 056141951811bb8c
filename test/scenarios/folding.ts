import { basename, dirname, join } from 'node:path'
import type { FileSystem } from '../../src/platform/ports.ts'

const fold = (name: string): string => name.normalize('NFC').toLowerCase()

/** A disk on which `A` and `a` are one name, that keeps the spelling it was given first: as macOS and Windows have. */
export function folding(disk: FileSystem): FileSystem {
  const real = (path: string): string => {
    const parent = dirname(path)
    if (parent === path || disk.lstat(path) !== null) return path
    const folder = real(parent)
    const wanted = basename(path)
    const there = disk.lstat(folder)?.kind === 'folder' ? disk.list(folder) : []
    const found = there.find(({ name }) => name !== null && fold(name) === fold(wanted))
    return join(folder, found?.name ?? wanted)
  }
  /** Of the same file, another spelling is a name that is free. */
  const target = (from: string, to: string): string => {
    const there = real(to)
    return there === real(from) ? join(dirname(there), basename(to)) : there
  }
  return {
    ...disk,
    lstat: (path) => disk.lstat(real(path)),
    list: (path) => disk.list(real(path)),
    mkdir: (path, mode) => disk.mkdir(real(path), mode),
    rmdir: (path) => disk.rmdir(real(path)),
    unlink: (path) => disk.unlink(real(path)),
    rename: (from, to) => disk.rename(real(from), target(from, to)),
    renameNew: (from, to) => disk.renameNew(real(from), target(from, to)),
    exchange: (one, two) => disk.exchange(real(one), real(two)),
    link: (from, to) => disk.link(real(from), real(to)),
    chmod: (path, mode) => disk.chmod(real(path), mode),
    setModified: (path, time) => disk.setModified(real(path), time),
    readSmall: (path, limit) => disk.readSmall(real(path), limit),
    open: (path) => disk.open(real(path)),
    create: (path, mode) => disk.create(real(path), mode),
    writeSmall: (path, bytes, mode, time) => disk.writeSmall(real(path), bytes, mode, time),
    copy: (from, to) => disk.copy(real(from), real(to)),
    openFolder: (path) => disk.openFolder(real(path)),
  }
}
