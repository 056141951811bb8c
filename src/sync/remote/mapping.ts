import { EMPTY_HASH } from '../../content/hash.ts'
import type { BlobInfo, Meta } from '../../store/contract/types.ts'
import type { Content, Path } from '../core/types.ts'
import type { Extra, RemoteItem } from '../state/remote.ts'

const OCTETS = 'application/octet-stream'
const EXECUTABLE = 0o100

export function keyOf(prefix: string, path: Path): string {
  return prefix === '' ? path : `${prefix}/${path}`
}

/** Null for a key that is not below the prefix, and for the prefix's own folder marker. */
function pathOf(prefix: string, key: string): Path | null {
  if (prefix === '') return key
  return key.startsWith(`${prefix}/`) && key.length > prefix.length + 1 ? key.slice(prefix.length + 1) : null
}

/** What a version says to the folder; null if it is not below the prefix. */
export function itemOf(prefix: string, info: BlobInfo): RemoteItem | null {
  const path = pathOf(prefix, info.key)
  if (path === null) return null
  const { version, entry } = info
  if (info.deleted) return { path, content: null, version, entry }
  return {
    path,
    content: contentOf(path, info),
    version,
    entry,
    mtime: info.meta['mtime'] ?? null,
    extra: extraOf(info),
  }
}

function contentOf(path: Path, info: BlobInfo): Content {
  if (path.endsWith('/'))
    return { kind: 'folder', hash: info.size === 0 ? EMPTY_HASH : info.hash, size: info.size, executable: false }
  const mode = info.meta['mode'] ?? ''
  const executable = /^[0-7]{3,5}$/.test(mode) && (Number.parseInt(mode, 8) & EXECUTABLE) !== 0
  return { kind: 'file', hash: info.hash, size: info.size, executable }
}

function extraOf(info: BlobInfo): Extra | null {
  const { mtime: _mtime, mode: _mode, ...meta } = info.meta
  const type = info.contentType === OCTETS ? {} : { type: info.contentType }
  const own = Object.keys(meta).length === 0 ? {} : { meta }
  const extra = { ...type, ...own }
  return Object.keys(extra).length === 0 ? null : extra
}

/** Metadata of a file to be written: what others put there stays. */
export function metaOf(content: Content, mtimeNs: bigint | null, extra: Extra | null): Meta {
  if (content.kind === 'folder') return extra?.meta ?? {}
  return {
    ...extra?.meta,
    ...(mtimeNs === null ? {} : { mtime: formatMtime(mtimeNs) }),
    mode: content.executable ? '755' : '644',
  }
}

export function typeOf(extra: Extra | null): string {
  return extra?.type ?? OCTETS
}

const SECOND = 1_000_000_000n

/** Decimal seconds since 1970, as short as it can be. */
function formatMtime(ns: bigint): string {
  const sign = ns < 0n ? '-' : ''
  const size = ns < 0n ? -ns : ns
  const fraction = String(size % SECOND)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${sign}${size / SECOND}${fraction === '' ? '' : `.${fraction}`}`
}

/** Null for what is no time that a disk can hold: it is metadata, and never a reason to fail. */
export function parseMtime(text: string | null): bigint | null {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?$/.exec(text ?? '')
  if (match === null) return null
  const [, sign, seconds = '0', fraction = ''] = match
  const ns = BigInt(seconds) * SECOND + BigInt(fraction.padEnd(9, '0'))
  return sign === '-' ? -ns : ns
}
