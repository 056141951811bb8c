import { openImage, type Database } from '../../src/platform/sqlite.ts'
import type { StoreDisk, StoreHandle, StorePieces } from '../../src/platform/store-disk.ts'
import { systemError } from '../../src/platform/native.ts'
import type { Chance } from './chance.ts'
import { openMemoryDisk } from './memory-file-system.ts'
import { watchedDatabase } from './process.ts'
import type { Life } from './life.ts'

/** The disk of a server: files in memory that know what of them is durable, and databases that are cut where their transactions end. */
export interface ServerDisk {
  /** As a process sees it, for as long as it lives. */
  of(life: Life): StoreDisk
  /** The process that used it is dead, with the power or without. Gives how much vanished. */
  cut(power: boolean, chance: Chance): number
  /** All that is on it now; what it gives is put in the place of everything by `restore`. */
  copy(): ServerCopy
  restore(copy: ServerCopy): void
  /** Bytes that still fit. */
  setRoom(bytes: number): void
}
interface Kept {
  db: Database
  image: () => Uint8Array
  /** What the power leaves of it; null: all that is committed. */
  durable: Uint8Array | null
  /** Who has not closed it: as long as there is one, dead or alive, its WAL is there. */
  readonly open: Set<Life | null>
  commits: number
}
interface ServerCopy {
  readonly folders: readonly string[]
  readonly files: readonly { readonly path: string; readonly bytes: Uint8Array; readonly image: Uint8Array | null }[]
}

export const DATA = '/data'
/** A database has some bytes, however many. */
const PAGE = 4096

/** `forgetful`: of a database that is not opened `full`, the power takes all that was not synced. */
export function openServerDisk(now: () => bigint, { forgetful = false } = {}): ServerDisk {
  const disk = openMemoryDisk({ now, caseBlind: false, canExchange: true })
  const { fs } = disk
  /** By the inode of its file: a name that vanished took it along. */
  const databases = new Map<bigint, Kept>()
  const locks: { readonly path: string; readonly life: Life; readonly alone: boolean }[] = []

  const inoOf = (path: string): bigint | null => fs.lstat(path)?.ino ?? null
  const find = (path: string): Kept | undefined => {
    const ino = inoOf(path)
    return ino === null ? undefined : databases.get(ino)
  }
  const take = (path: string): Kept => {
    const ino = inoOf(path)
    if (ino === null) throw systemError('ENOENT', 'open', path)
    const kept = databases.get(ino) ?? { ...openImage(null), durable: null, open: new Set(), commits: 0 }
    databases.set(ino, kept)
    return kept
  }
  const makeFolder = (path: string): void => {
    if (fs.lstat(path)?.kind === 'folder') return
    const above = path.slice(0, path.lastIndexOf('/'))
    if (above !== '') makeFolder(above)
    fs.mkdir(path, 0o700)
  }
  const create = (path: string): boolean => {
    if (fs.lstat(path) !== null) return false
    disk.makeFile(path, new Uint8Array())
    return true
  }
  const size = (path: string): number | null => {
    if (path.endsWith('-wal') && (find(path.slice(0, -4))?.open.size ?? 0) > 0) return PAGE
    return find(path) ? PAGE : (fs.lstat(path)?.size ?? null)
  }
  const of = (life: Life): StoreDisk => {
    const { check, effect } = life
    const soon = async <T>(name: string, act: () => T): Promise<T> => {
      await life.turn()
      return effect(name, act)
    }
    const open = async (path: string): Promise<StoreHandle | null> => {
      const file = await soon('open pack', () => disk.openInPlace(path))
      if (file === null) return null
      return {
        size: async () => (check(), file.size()),
        read: (buffer, place) => soon('read pack', () => file.read(buffer, place)),
        // Each buffer by itself: what was written before a death is there, what was not is not.
        write: async ([first, ...rest], place) => {
          let written = 0
          for (const buffer of first === undefined ? [] : [first, ...rest.slice(0, 1)]) {
            await soon('write pack', () => file.write(buffer, place + written))
            written += buffer.byteLength
          }
          return written
        },
        truncate: (length) => soon('truncate pack', () => file.truncate(length)),
        sync: () => soon('sync pack', () => file.sync()),
        close: async () => undefined,
      }
    }
    /** As SQLite's locks are: held until they are let go, or their process is dead. */
    const lock = (path: string, alone: boolean): (() => void) | null => {
      check()
      const held = locks.filter((other) => other.path === path && other.life.alive())
      if (held.some((other) => alone || other.alone)) return null
      const own = { path, life, alone }
      locks.push(own)
      return () => {
        if (life.alive()) locks.splice(locks.indexOf(own), 1)
      }
    }
    const openDatabase = (path: string, synchronous: 'full' | 'normal'): Database => {
      check()
      const kept = take(path)
      kept.open.add(life)
      if (forgetful && synchronous === 'normal') kept.durable ??= new Uint8Array()
      const close = (): void => {
        if (!life.alive()) return
        kept.open.delete(life)
        // The last one leaves no WAL behind, whoever left it there.
        if (![...kept.open].some((other) => other?.alive())) kept.open.clear()
      }
      const db = watchedDatabase(kept.db, life)
      let own = 0
      const exec = (sql: string): void => {
        db.exec(sql)
        if (sql !== 'COMMIT') return
        own++
        kept.commits++
      }
      // All processes share one connection here: what others have committed is counted instead.
      return { ...db, exec, dataVersion: () => (check(), kept.commits - own), close }
    }
    return {
      makeFolder: (path) => effect('make folder', () => makeFolder(path)),
      names: (folder) => (check(), fs.list(folder).map(({ shown }) => shown)),
      size: (path) => (check(), size(path)),
      checkReadable: check,
      create: (path) => effect('make file', () => create(path)),
      readText: (path) => {
        check()
        const bytes = fs.readSmall(path, 4096)
        return bytes && Buffer.from(bytes).toString('latin1')
      },
      makeText: (path, text) =>
        effect('write note', () => disk.makeFile(path, new Uint8Array(Buffer.from(text, 'latin1')))),
      remove: (path) => effect('remove', () => remove(path)),
      removeTree: (path) => {
        const folder = fs.lstat(path)?.kind === 'folder'
        for (const { shown } of folder ? fs.list(path) : []) of(life).removeTree(`${path}/${shown}`)
        effect('remove', () => (folder ? fs.rmdir(path) : remove(path)))
      },
      removeEmptyFolder: (path) => effect('remove', () => fs.rmdir(path)),
      rename: (from, to) => effect('rename', () => fs.rename(from, to)),
      sync: (path) =>
        effect('sync', () => {
          fs.syncFolder(path)
          const kept = find(path)
          if (kept && kept.durable !== null) kept.durable = kept.image()
        }),
      open,
      openPieces: (path) => (check(), openPieces(path)),
      openNote: (path) => {
        const file = effect('open note', () => disk.openInPlace(path)) ?? missing(path)
        return { write: (text) => effect('write note', () => file.write(Buffer.from(text), 0)), close: () => undefined }
      },
      // It looks each second anyway.
      watch: () => null,
      openDatabase: (path, { synchronous }) =>
        path === ':memory:' ? openImage(null).db : openDatabase(path, synchronous),
      readDatabase: (path) => ({ ...watchedDatabase((check(), take(path)).db, life), close: () => undefined }),
      tryLock: (path) => lock(path, true),
      tryShare: (path) => lock(path, false),
    }
  }
  const remove = (path: string): void => {
    // What its database holds is kept: without a sync the name may come back.
    if (fs.lstat(path) !== null) fs.unlink(path)
  }
  const openPieces = (path: string): StorePieces | null => {
    const bytes = find(path)?.image() ?? fs.readSmall(path, Number.POSITIVE_INFINITY)
    if (bytes === null) return null
    return {
      size: bytes.byteLength,
      read: (place, size) => bytes.subarray(place, place + size),
      close: () => undefined,
    }
  }
  const cutDatabases = (power: boolean): void => {
    for (const kept of databases.values()) {
      if (kept.db.inTransaction()) kept.db.exec('ROLLBACK')
      const { durable } = kept
      if (power && durable !== null) Object.assign(kept, openImage(durable.byteLength === 0 ? null : durable))
    }
  }
  return {
    of,
    cut: (power, chance) => {
      cutDatabases(power)
      return power ? disk.powerLoss(chance) : 0
    },
    copy: () => {
      const tree = [...disk.tree(DATA)]
      return {
        folders: tree.flatMap(([path, { bytes }]) => (bytes === null ? [path.slice(0, -1)] : [])),
        files: tree.flatMap(([path, { bytes }]) => {
          const image = find(`${DATA}/${path}`)?.image() ?? null
          return bytes === null ? [] : [{ path, bytes: new Uint8Array(bytes), image }]
        }),
      }
    },
    restore: ({ folders, files }) => {
      cutDatabases(false)
      disk.durably(() => {
        clear(DATA)
        for (const folder of folders) makeFolder(`${DATA}/${folder}`)
        for (const { path, bytes, image } of files) {
          disk.makeFile(`${DATA}/${path}`, bytes)
          const ino = inoOf(`${DATA}/${path}`)
          // As it is after a copy of a running store: with what is in its WAL.
          if (image !== null && ino !== null)
            databases.set(ino, { ...openImage(image), durable: null, open: new Set([null]), commits: 0 })
        }
      })
    },
    setRoom: disk.setRoom,
  }

  function clear(path: string): void {
    for (const { shown, kind } of fs.list(path)) {
      const inside = `${path}/${shown}`
      if (kind === 'folder') {
        clear(inside)
        fs.rmdir(inside)
      } else fs.unlink(inside)
    }
  }
}

function missing(path: string): never {
  throw systemError('ENOENT', 'open', path)
}
