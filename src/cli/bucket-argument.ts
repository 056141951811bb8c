import { BlobsError } from '../store/contract/errors.ts'

/** Gives a target back when it names a bucket and nothing in it; else throws `InvalidRequest`. */
export function requireBucket<T extends { readonly bucket: string; readonly key: string; readonly text: string }>(
  target: T,
): T {
  if (target.bucket !== '' && target.key === '') return target
  const what = target.bucket === '' ? 'names no bucket' : 'names something in a bucket'
  throw new BlobsError('InvalidRequest', `${JSON.stringify(target.text)} ${what}`, {
    hint: 'give the name of a bucket alone',
  })
}

/** Gives a target back when it names a bucket, with or without a key; else throws `InvalidRequest`. */
export function requireTarget<T extends { readonly bucket: string; readonly text: string }>(target: T): T {
  if (target.bucket !== '') return target
  throw new BlobsError('InvalidRequest', `${JSON.stringify(target.text)} names no bucket`, {
    hint: 'write bucket or bucket/key',
  })
}
