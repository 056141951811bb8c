import { chanceBy } from '../../../platform/chance.ts'
import { BlobsError } from '../../../store/contract/errors.ts'
import type { ForeignPromises } from '../../../store/mirror/foreign.ts'
import type { ForeignDriver, PlaceAddress } from '../../../store/ports.ts'
import { openS3Client } from '../client.ts'
import { readSettings } from '../settings.ts'
import { openMps3 } from './foreign.ts'

const PROMISES: ForeignPromises = {
  name: 's3+mps3',
  durability: 'service',
  live: 'polled',
  fresh: 500,
  poll: 1000,
  parallel: 16,
  cannot: {
    'compare and swap':
      'apps write without comparing; bytes that lose their name to a write that had not seen them get one of their own beside it',
    'one order': 'MPS3 knows no numbers: each machine counts what it has seen',
    sweeping: 'an app may still read an old value: MPS3 takes none away',
    history: 'only what this machine has seen can be read again',
  },
}

/** What browser apps on MPS3 keep in an S3 bucket: `s3+mps3://BUCKET/manifest.json/key?endpoint=URL`. */
export const mps3: ForeignDriver = {
  promises: PROMISES,
  openForeign: async (address, { clock, ids, env, ca, proxyFor }) => {
    const settings = readSettings(address.authority, address.options, env, ['versioning'])
    checkPath(address)
    const chance = (): number => chanceBy(ids)
    const client = await openS3Client({ settings, clock, chance, ca, proxyFor })
    return openMps3({ client, promises: PROMISES, clock, versioned: versionedOf(address.options.get('versioning')) })
  },
}

function checkPath({ path, text }: PlaceAddress): void {
  if (path === '') return
  throw new BlobsError('InvalidRequest', `${text} has a path, ${path}`, {
    hint: 'write it as s3+mps3://BUCKET/MANIFEST/key: a manifest and its keys lie in the S3 bucket itself',
  })
}

function versionedOf(option: string | undefined): boolean {
  if (option === undefined || option === 'no') return false
  if (option === 'yes') return true
  throw new BlobsError('InvalidRequest', `versioning=${option} is neither yes nor no`)
}
