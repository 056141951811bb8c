import { crc32 } from 'node:zlib'

// Each begins with the name of its table, so that a row that is found by itself is known for what it is.

/** Checksum of a row of `buckets`; `name` is null once the bucket was removed. */
export function bucketSum(id: number, name: string | null): number {
  return crc32(`bucket ${id} ${name ?? ''}`)
}

/** Checksum of a row of `packs`; `used` is null once the pack was deleted. */
export function packSum(id: number, used: number | null): number {
  return crc32(`pack ${id} ${used ?? ''}`)
}

/** Checksum of a row of `ages`. */
export function ageSum(chunk: number, time: number): number {
  return crc32(`age ${chunk} ${time}`)
}

/** Checksum of a row of `log`. Where a page is damaged, `data` may be anything: that has none, which is NaN. */
export function entrySum(bucket: number, position: number, id: string, data: Uint8Array): number {
  if (!(data instanceof Uint8Array)) return Number.NaN
  return crc32(data, crc32(`entry ${bucket} ${position} ${id} `))
}
