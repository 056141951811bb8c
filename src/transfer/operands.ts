import { createReadStream, createWriteStream, mkdirSync, realpathSync, statSync, type Stats } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { systemFileSystem } from '../platform/file-system.ts'
import type { FileSystem } from '../platform/ports.ts'
import { BlobsError } from '../store/contract/errors.ts'
import { checkKey } from '../store/contract/keys.ts'
import type { PutItem } from './put.ts'

/** Operands of a put that belong together: files by name, or one folder with everything in it. */
export type PutGroup =
  | { readonly kind: 'files'; readonly items: readonly PutItem[] }
  /** `prefix` ends with `/`. */
  | { readonly kind: 'tree'; readonly root: string; readonly prefix: string }

interface PutTarget {
  readonly bucket: string
  /** As given: '' or with a `/` at its end means "into". */
  readonly key: string
}

/**
 * Which file becomes which key; depends on the operands alone and on what kind of thing each is, never on what the bucket holds.
 * Throws `InvalidRequest` before anything is moved; a file that cannot be read becomes a failed item.
 */
export function planPut(
  files: readonly string[],
  target: PutTarget,
  options: { readonly recursive: boolean; readonly stdin: AsyncIterable<Uint8Array> },
): readonly PutGroup[] {
  const into = target.key === '' || target.key.endsWith('/')
  if (files.length > 1 && !into) {
    throw usage(
      `${files.length} files cannot all become ${target.bucket}/${target.key}`,
      `put them into a folder: ${target.bucket}/${target.key}/`,
    )
  }
  const fs = systemFileSystem()
  const groups: PutGroup[] = []
  const keys = new Map<string, string>()
  for (const file of files) {
    const key = into ? target.key + nameOf(file, target) : target.key
    const earlier = keys.get(key)
    if (earlier !== undefined)
      throw usage(
        `${earlier} and ${file} would both become ${target.bucket}/${key}`,
        'put one of them under another name',
      )
    keys.set(key, file)
    const one = plan(fs, file, key, options)
    const last = groups.at(-1)
    if (one.kind === 'tree') groups.push(one)
    else if (last?.kind === 'files') groups[groups.length - 1] = { kind: 'files', items: [...last.items, one] }
    else groups.push({ kind: 'files', items: [one] })
  }
  return groups
}

function plan(
  fs: FileSystem,
  file: string,
  key: string,
  options: { readonly recursive: boolean; readonly stdin: AsyncIterable<Uint8Array> },
): PutItem | Extract<PutGroup, { kind: 'tree' }> {
  if (file === '-') return { kind: 'stream', path: '-', key: checkKey(key), source: options.stdin }
  const stat = look(file)
  if (stat instanceof Error) return { kind: 'failed', path: file, error: stat }
  if (stat.isDirectory()) {
    if (!options.recursive) throw usage(`${file} is a folder`, `put it with everything in it: add -r`)
    return { kind: 'tree', root: file, prefix: `${checkKey(key)}/` }
  }
  checkKey(key)
  // A pipe or a device (`<(command)`): a stream as long as it is.
  if (!stat.isFile()) return { kind: 'stream', path: file, key, source: createReadStream(file) }
  const found = fs.lstat(file)
  // A link that was named is followed; one that is met in a folder is not.
  const path = found?.kind === 'symlink' ? realpathSync(file) : file
  const real = fs.lstat(path)
  if (real) return { kind: 'file', path, key, stat: real }
  return {
    kind: 'failed',
    path: file,
    error: Object.assign(new Error(`${file} went away`), { code: 'ENOENT', path: file }),
  }
}

function nameOf(file: string, target: PutTarget): string {
  if (file === '-') throw usage('what comes from stdin has no name', `give its key: ${target.bucket}/${target.key}NAME`)
  const name = basename(resolve(file)).normalize('NFC')
  if (name === '') throw usage(`${file} has no name`, `give the key: ${target.bucket}/${target.key}NAME`)
  return name
}

/** Where the sources of a get go. */
export type Destination =
  | { readonly kind: 'stdout' }
  /** Into this folder, under their own names; it exists when this is returned, unless `make`. */
  | { readonly kind: 'into'; readonly folder: string; readonly make: boolean }
  /** Exactly this file (with -r: this folder). */
  | { readonly kind: 'exact'; readonly path: string }
  /** A device or a pipe: written to, never replaced. */
  | { readonly kind: 'device'; readonly path: string }

/** What DEST of a get means. Throws `InvalidRequest` when several sources cannot go there. */
export function planGet(destination: string, several: boolean): Destination {
  if (destination === '-') return { kind: 'stdout' }
  const stat = look(destination)
  if (!(stat instanceof Error) && stat.isDirectory()) return { kind: 'into', folder: destination, make: false }
  if (destination.endsWith('/')) return { kind: 'into', folder: destination, make: true }
  if (several) {
    throw usage(
      `${destination} is not a folder, so several sources cannot go there`,
      `write ${destination}/ to make it a folder`,
    )
  }
  if (!(stat instanceof Error) && !stat.isFile()) return { kind: 'device', path: destination }
  return { kind: 'exact', path: destination }
}

/** The file or folder that a source becomes; `name` is its key, or its bucket's name. */
export function pathWithin(folder: string, name: string): string {
  return join(folder, basename(name))
}

/** Makes a folder and what is missing above it. */
export function makeFolder(path: string): void {
  mkdirSync(path, { recursive: true })
}

/** Writes a stream into a pipe or a device, at its pace. */
export async function writeInto(path: string, source: AsyncIterable<Uint8Array>): Promise<void> {
  const stream = createWriteStream(path, { flags: 'a' })
  // Told by the write that fails.
  stream.on('error', () => undefined)
  for await (const bytes of source) {
    await new Promise<void>((resolve, reject) => {
      stream.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
  }
  await new Promise<void>((resolve, reject) => {
    stream.once('error', reject)
    stream.end(resolve)
  })
}

function look(path: string): Stats | Error {
  try {
    return statSync(path)
  } catch (error) {
    return error as Error
  }
}

function usage(message: string, hint: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint })
}
