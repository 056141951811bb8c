import { randomUUID } from 'node:crypto'
import { BlobsError } from '../../../store/contract/errors.ts'
import type { S3Client } from '../client.ts'
import { fromValue, toValue } from './json.ts'

/** Largest blob, in bytes: a client parses a value whole. */
export const MAX_VALUE_BYTES = 16 * 1024 * 1024

/** The values of an S3 bucket that MPS3's clients see: each version an object of its own. */
export interface Values {
  /** Gives the version. */
  put(key: string, bytes: Uint8Array): Promise<string>
  /** Null if it is gone. */
  get(key: string, version: string): Promise<Uint8Array | null>
  /** What a client does beside its entry: a no-op where versions have names of their own. */
  remove(key: string): Promise<void>
}

/** `versioned`: versions are those of S3; else the object of a version is called `KEY@VERSION`. */
export function openValues(client: S3Client, versioned: boolean): Values {
  const type = 'application/json'
  return {
    put: async (key, bytes) => {
      const version = randomUUID()
      const { versionId } = await client.put(versioned ? key : `${key}@${version}`, toValue(bytes), { type })
      if (!versioned) return version
      if (versionId !== '') return versionId
      throw new BlobsError('NotSupported', `the S3 bucket ${client.settings.bucket} does not keep versions`, {
        hint: 'leave out the option versioning, or turn versions on for the bucket',
      })
    },
    get: async (key, version) => {
      const object = versioned ? await client.get(key, { versionId: version }) : await client.get(`${key}@${version}`)
      return object === null ? null : fromValue(object.bytes)
    },
    remove: async (key) => {
      if (versioned) await client.remove(key)
    },
  }
}
