import { BlobsError } from '../store/contract/errors.ts'
import { checkBucketName } from '../store/contract/keys.ts'

/** A protocol that a server shall speak besides its own, as `--face` names it. */
export type WantedFace =
  | { readonly name: 'containers'; readonly signUp: 'this machine' | 'anybody' }
  | { readonly name: 'changelog'; readonly bucket: string; readonly store: string }
  | { readonly name: 'addresses'; readonly bucket: string }

/** The store that clients of a change log mean when they name none. */
const ONLY_STORE = 'MyStore'

/** `containers`, `containers=open`, `changelog=BUCKET`, `changelog=BUCKET/STORE`, `addresses=BUCKET`. Throws `InvalidRequest`. */
export function parseFace(text: string): WantedFace {
  const [name = '', value = '', ...rest] = text.split('=')
  if (rest.length > 0) throw unknown(text)
  switch (name) {
    case 'containers':
      if (text === name) return { name, signUp: 'this machine' }
      if (value === 'open') return { name, signUp: 'anybody' }
      break
    case 'changelog': {
      const [bucket = '', ...store] = value.split('/')
      if (value.endsWith('/')) break
      return { name, bucket: checkBucketName(bucket), store: store.length === 0 ? ONLY_STORE : store.join('/') }
    }
    case 'addresses':
      return { name, bucket: checkBucketName(value) }
  }
  throw unknown(text)
}

/** Refuses the same face twice: clients could not tell which one they speak to. */
export function checkFaces<F extends WantedFace>(faces: readonly F[]): readonly F[] {
  const twice = faces.find(({ name }, index) => faces.findIndex((one) => one.name === name) !== index)
  if (twice === undefined) return faces
  throw new BlobsError('InvalidRequest', `--face ${twice.name} is given twice`, { hint: 'a server has one of each' })
}

function unknown(text: string): BlobsError {
  return new BlobsError('InvalidRequest', `${JSON.stringify(text)} is not a face`, {
    hint: 'there are: containers, containers=open, changelog=BUCKET, changelog=BUCKET/STORE, addresses=BUCKET',
  })
}
