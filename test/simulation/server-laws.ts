import { sha256 } from '../../src/content/hash.ts'
import { isBlobsError } from '../../src/store/contract/errors.ts'
import type { BlobInfo } from '../../src/store/contract/types.ts'
import { Violation } from './laws.ts'
import type { World } from './world.ts'

/** Whatever the server ever acknowledged can be read there, byte for byte. */
export async function checkServerWhole({ scheduler, server }: World): Promise<void> {
  const store = server.store()
  const { items } = await scheduler.finish(store.list({ versions: true, limit: 10_000 }))
  const read = async ({ key, version, hash }: BlobInfo): Promise<void> => {
    const what = `version ${version} of ${key}`
    try {
      const blob = await store.get(key, { version })
      if (blob === null) throw new Violation('I1', `the server has lost ${what}`)
      const pieces: Uint8Array[] = []
      for await (const piece of blob.stream) pieces.push(piece)
      if (sha256(Buffer.concat(pieces)) !== hash) throw new Violation('I1', `the server has other bytes for ${what}`)
    } catch (error) {
      if (isBlobsError(error)) throw new Violation('I1', `the server cannot read ${what}: ${error.message}`)
      throw error
    }
  }
  for (const item of items) if (!item.deleted) await scheduler.finish(read(item))
}
