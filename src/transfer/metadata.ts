import type { FileStat } from '../platform/ports.ts'
import type { Meta } from '../store/contract/types.ts'

/** What of a file's attributes travels with its bytes: when it was modified, and whether it may be executed. */
export function metaOf(stat: Pick<FileStat, 'mtimeNs' | 'mode'>): Meta {
  return { mtime: formatSeconds(stat.mtimeNs), mode: (stat.mode & 0o100) === 0 ? '644' : '755' }
}

/** Null when the blob carries no usable time. */
export function mtimeOf(meta: Meta): bigint | null {
  const [, sign, seconds, fraction = ''] = /^(-?)(\d{1,12})(?:\.(\d{1,9}))?$/.exec(meta['mtime'] ?? '') ?? []
  if (seconds === undefined) return null
  const ns = BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0'))
  return sign === '-' ? -ns : ns
}

export function isExecutable(meta: Meta): boolean {
  return /^[0-7]{3,4}$/.test(meta['mode'] ?? '') && (Number.parseInt(meta['mode'] ?? '', 8) & 0o100) !== 0
}

function formatSeconds(ns: bigint): string {
  const size = ns < 0n ? -ns : ns
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, '0')
    .replace(/0+$/, '')
  return `${ns < 0n ? '-' : ''}${size / 1_000_000_000n}${fraction === '' ? '' : `.${fraction}`}`
}
