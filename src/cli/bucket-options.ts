import { Flags } from '@oclif/core'
import { BlobsError } from '../store/contract/errors.ts'
import type { BucketOptions, CopyOf } from '../store/contract/types.ts'
import { count, localTime, size } from './format.ts'
import { parseDuration, parseSize } from './values.ts'

/** What may be set of a bucket. */
export const bucketFlags = {
  'max-blob-size': Flags.string({ description: 'largest blob it takes, as 100MB, or none', helpValue: 'SIZE' }),
  'keep-versions': Flags.string({
    description: 'keep the newest N versions of each key, the current one among them; none: no limit',
    helpValue: 'N',
  }),
  'keep-for': Flags.string({
    description: 'keep versions for so long after they were replaced or deleted, as 30d; none: no limit',
    helpValue: 'SPAN',
  }),
  quota: Flags.string({
    description: 'most that all its current blobs may have, as 10GiB, or none',
    helpValue: 'SIZE',
  }),
  'quota-blobs': Flags.string({ description: 'most current blobs, or none', helpValue: 'N' }),
}

type Given = { readonly [name in keyof typeof bucketFlags]?: string | undefined }

type Settable = Exclude<keyof BucketOptions, 'copyOf'>

const READ: Readonly<Record<keyof typeof bucketFlags, readonly [Settable, (text: string) => number]>> = {
  'max-blob-size': ['maxBlobSize', parseSize],
  'keep-versions': ['keepVersions', parseCount],
  'keep-for': ['keepFor', (text) => Math.ceil(parseDuration(text) / 1000)],
  quota: ['quotaBytes', parseSize],
  'quota-blobs': ['quotaBlobs', parseCount],
}

/** The options as the flags change them. Throws `InvalidRequest`. */
export function changedOptions(now: BucketOptions, given: Given): BucketOptions {
  const options: { -readonly [name in keyof BucketOptions]: BucketOptions[name] } = { ...now }
  for (const flag of Object.keys(READ) as (keyof typeof bucketFlags)[]) {
    const text = given[flag]
    if (text === undefined) continue
    const [name, parse] = READ[flag]
    if (text === 'none') delete options[name]
    else options[name] = parse(text)
  }
  return options
}

/** What a bucket takes and keeps, in words: `takes blobs up to 100 MB`, …. */
export function optionsInWords({ maxBlobSize, copyOf, ...options }: BucketOptions): readonly string[] {
  const quota = quotaInWords(options)
  return [
    ...(copyOf === undefined ? [] : [originInWords(copyOf)]),
    maxBlobSize === undefined ? 'takes a blob of any size' : `takes blobs up to ${size(maxBlobSize)}`,
    ...(quota === '-' ? [] : [`holds at most ${quota}`]),
    `keeps ${keptInWords(options)}`,
  ]
}

/** As `is a backup of team as of 2026-07-28 14:02`. */
export function originInWords({ bucket, at, restoring }: CopyOf): string {
  if (restoring !== undefined) return `is just being restored from ${bucket}`
  return `is a backup of ${bucket}${at === undefined ? ', not finished yet' : ` as of ${localTime(Date.parse(at))}`}`
}

/** As `10 GB in 500 blobs`; `-` for none. */
export function quotaInWords({ quotaBytes, quotaBlobs }: BucketOptions): string {
  const parts = [
    quotaBytes === undefined ? [] : size(quotaBytes),
    quotaBlobs === undefined ? [] : count(quotaBlobs, 'blob'),
  ]
  return parts.flat().join(' in ') || '-'
}

/** Which versions stay. */
export function keptInWords({ keepVersions, keepFor }: BucketOptions): string {
  const newest = keepVersions === undefined ? [] : [`the newest ${count(keepVersions, 'version')} of each key`]
  const since = keepFor === undefined ? [] : [`what was replaced within ${span(keepFor)}`]
  return newest.length + since.length === 0 ? 'every version' : [...newest, ...since].join(', and ')
}

const UNITS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
] as const

function span(seconds: number): string {
  const [unit, name] = UNITS.find(([length]) => seconds % length === 0) ?? [1, 'second']
  return count(seconds / unit, name)
}

function parseCount(text: string): number {
  const value = /^\d{1,15}$/.test(text.trim()) ? Number(text) : 0
  if (value > 0) return value
  throw new BlobsError('InvalidRequest', `${JSON.stringify(text)} is not a number from 1 on`, {
    hint: 'give a number, or none',
  })
}
