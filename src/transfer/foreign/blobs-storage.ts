import { join } from 'node:path'
import { sha256 } from '../../content/hash.ts'
import type { FileSystem } from '../../platform/ports.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { BlobInfo, Meta } from '../../store/contract/types.ts'
import type { Found } from './items.ts'

/** Largest file that is read. */
const MAX_FILE = 64 * 1024 * 1024
const META = 'stored-'
const REF = /^[0-9a-f]{64}$/i
const SUFFIX = '.json'
const BACKUP = '.backup'
/** Metadata of a blob has 8 KiB. */
const MAX_FORM = 4096
const SPOILED = 'take it from another copy, or let the server there write it again'
const FIELDS = ['version', 'created', 'updated', 'ip'] as const

/** Whether a name is that of a blob there. */
export function isRef(name: string): boolean {
  return REF.test(name)
}

/** The path of a blob's file below the folder of its bucket. */
export function pathOfRef(ref: string): string {
  return join(ref.slice(0, 2), `${ref}${SUFFIX}`)
}

/** The blobs in a bucket's folder of a server of seed 000: `XX/XX….json`; where that cannot be read, its backup counts. */
export async function* readStorage(fs: FileSystem, folder: string, prefix: string): AsyncGenerator<Found> {
  const parts = fs.list(folder).map(({ shown }) => shown)
  if (parts.length > 0 && !parts.some((part) => /^[0-9a-f]{2}$/i.test(part))) {
    throw new BlobsError('InvalidRequest', `${folder} is no bucket's folder: there is none in it as 0a or f3`, {
      hint: `name the folder of one bucket, as ${join(folder, parts[0] ?? 'BUCKET')}`,
    })
  }
  for (const part of parts.toSorted()) {
    const path = join(folder, part)
    if (fs.lstat(path)?.kind !== 'folder') yield { kind: 'skipped', name: path, reason: 'it is no blob' }
    else yield* readPart(fs, path, part, prefix)
  }
}

function* readPart(fs: FileSystem, folder: string, part: string, prefix: string): Generator<Found> {
  const names = new Set(fs.list(folder).map(({ shown }) => shown))
  const refs = new Set<string>()
  for (const name of [...names].toSorted()) {
    const ref = name.replace(/\.json(\.backup)?$/, '')
    if (ref !== name && isRef(ref) && ref.startsWith(part)) refs.add(ref)
    else yield { kind: 'skipped', name: join(folder, name), reason: 'it is no blob' }
  }
  for (const ref of refs) yield readOne(fs, folder, ref, names, prefix)
}

function readOne(fs: FileSystem, folder: string, ref: string, names: ReadonlySet<string>, prefix: string): Found {
  const file = `${ref}${SUFFIX}`
  let failure: unknown = null
  for (const name of [file, `${file}${BACKUP}`].filter((one) => names.has(one))) {
    const path = join(folder, name)
    try {
      const stored = parseStored(fs.readSmall(path, MAX_FILE) ?? new Uint8Array(), path)
      const { bytes, meta } = stored
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        if (bytes.length > 0) yield bytes
      }
      const what = { hash: sha256(bytes), size: bytes.length, bytes: pieces, meta }
      return { kind: 'put', name: path, key: `${prefix}${ref}`, contentType: 'application/octet-stream', ...what }
    } catch (error) {
      failure ??= error
    }
  }
  return { kind: 'failed', name: join(folder, file), error: failure }
}

interface Stored {
  readonly bytes: Buffer
  readonly meta: Meta
}

/** Throws `Corrupt` for what that server could not read, or what could not be written just so again. */
function parseStored(file: Uint8Array, path: string): Stored {
  let text: string
  let value: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(file)
    value = JSON.parse(text)
  } catch (cause) {
    throw new BlobsError('Corrupt', `${path} is not the JSON of a blob`, { cause, hint: SPOILED })
  }
  const fields = (typeof value === 'object' && value !== null ? value : {}) as Readonly<Record<string, unknown>>
  const { data } = fields
  if (typeof fields['version'] !== 'number' || (data !== undefined && typeof data !== 'string')) {
    throw new BlobsError('Corrupt', `${path} is not the JSON of a blob`, { hint: SPOILED })
  }
  const bytes = Buffer.from(data ?? '', 'base64')
  const meta: Record<string, string> = {}
  for (const name of FIELDS) if (fields[name] !== undefined) meta[`${META}${name}`] = JSON.stringify(fields[name])
  if (writeStored(bytes, meta) !== text) {
    const form = formOf(text, data, bytes)
    meta[`${META}form`] = JSON.stringify(form)
    if (JSON.stringify(meta).length > MAX_FORM || writeStored(bytes, meta) !== text) {
      throw new BlobsError('Corrupt', `${path} is not written as that server does, and could not be given back`, {
        hint: SPOILED,
      })
    }
  }
  return { bytes, meta }
}

/** What is before and after the data, and its last signs, where those are not as they should be. */
type Form = readonly [before: string, after: string, tail?: string]

function formOf(text: string, data: string | undefined, bytes: Buffer): Form {
  if (data === undefined || data === '') return [text, '']
  const at = text.indexOf(data)
  const around = [text.slice(0, at), text.slice(at + data.length)] as const
  return bytes.toString('base64') === data ? around : [...around, data.slice(-4)]
}

/** The file of a blob, by the metadata that it was brought with. */
export function writeStored(bytes: Buffer, meta: Meta): string {
  const data = bytes.toString('base64')
  const form = meta[`${META}form`]
  if (form !== undefined) {
    const [before, after, tail] = JSON.parse(form) as Form
    return `${before}${tail === undefined ? data : `${data.slice(0, -4)}${tail}`}${after}`
  }
  const told = FIELDS.flatMap((name) => {
    const value = meta[`${META}${name}`]
    return value === undefined ? [] : [`"${name}":${value}`]
  })
  return `{${[...(bytes.length === 0 ? [] : [`"data":"${data}"`]), ...told].join(',')}}\n`
}

/**
 * The metadata of a blob as that server has it: what it came with, or what follows from its versions (newest first). A version that was made
 * here goes on counting from the one that came.
 */
export function storedMeta(versions: readonly BlobInfo[]): Meta {
  const [newest] = versions
  if (newest === undefined) return {}
  if (newest.meta[`${META}version`] !== undefined) return newest.meta
  const brought = versions.find(({ meta }) => meta[`${META}version`] !== undefined)
  const before = brought === undefined ? 0 : Number(brought.meta[`${META}version`]) - brought.version
  const version = newest.version + (Number.isSafeInteger(before) ? before : 0)
  const first = versions.at(-1) ?? newest
  const created = brought?.meta[`${META}created`] ?? String(Date.parse(first.modified))
  return {
    [`${META}version`]: String(version),
    [`${META}created`]: created,
    ...(version > 1 ? { [`${META}updated`]: String(Date.parse(newest.modified)) } : {}),
    [`${META}ip`]: '"unknown"',
  }
}
