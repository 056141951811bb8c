import { join } from 'node:path'
import { authoritiesWith } from '../../platform/network.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Backend, BackendContext, BackendDriver, BackendPromises, PlaceAddress } from '../../store/ports.ts'
import { openContent } from './content.ts'
import { openIndex } from './index-file.ts'
import { openLog } from './log.ts'
import { openReader } from './reader.ts'
import { keys } from './records.ts'
import { openWire } from './wire.ts'

const PROMISES: BackendPromises = {
  name: 'changelog',
  durability: 'service',
  maxEntryBytes: 64 * 1024,
  live: 'polled',
  cannot: {
    trimming: 'the server keeps every record for ever, also those that are deleted',
    sweeping: 'the server keeps every record for ever, also those that are deleted',
  },
}

/** A change log behind Express (brodybits/Indexed-data-synchronization): `changelog+http://host:3000/STORE//bucket/key`. */
export const changelog: BackendDriver = {
  promises: PROMISES,
  open: async (address, context) => {
    const { origin, store } = checkAddress(address)
    const { ca, cacheDirectory, clock, ids, warn } = context
    const wire = openWire({ origin, store, ...(ca === undefined ? {} : { ca: await authoritiesWith(ca) }) })
    const index = openIndex(cacheDirectory, clock)
    const reader = openReader(wire, index, (message) => warn(`${address.text}: ${message}`))
    return backendOf({ wire, index, reader, clock, ids, viewDirectory: join(cacheDirectory, 'views') })
  },
}

type Parts = Pick<BackendContext, 'clock' | 'ids'> & {
  readonly wire: ReturnType<typeof openWire>
  readonly index: ReturnType<typeof openIndex>
  readonly reader: ReturnType<typeof openReader>
  readonly viewDirectory: string
}

function backendOf(parts: Parts): Backend {
  const { wire, index, reader, ids, viewDirectory } = parts
  let closed = false
  const idOf = async (name: string): Promise<string | null> => {
    await reader.catchUp()
    return index.db.get<{ id: string }>('SELECT id FROM buckets WHERE name = ? AND remover IS NULL', name)?.id ?? null
  }
  return {
    promises: PROMISES,
    viewDirectory,
    create: async (name) => {
      if ((await idOf(name)) !== null) return false
      const id = ids.next()
      await wire.add(keys.make(name, id), ':')
      return (await idOf(name)) === id
    },
    names: async () => {
      await reader.catchUp()
      const rows = index.db.all<{ name: string }>('SELECT name FROM buckets WHERE remover IS NULL ORDER BY name')
      return rows.map(({ name }) => name)
    },
    remove: async (name) => {
      const id = await idOf(name)
      if (id === null) return false
      const key = keys.remove(name, id, ids.next())
      await wire.add(key, ':')
      await reader.catchUp()
      return index.db.get('SELECT 1 FROM buckets WHERE id = ? AND remover = ?', id, key) !== undefined
    },
    open: async (name) => {
      const id = await idOf(name)
      if (id === null) return null
      const options = { ...parts, bucket: { id, name } }
      return { log: openLog({ ...options, maxEntryBytes: PROMISES.maxEntryBytes }), content: openContent(options) }
    },
    close: async () => {
      if (closed) return
      closed = true
      wire.close()
      index.close()
    },
  }
}

function checkAddress({ scheme, authority, path, options, text }: PlaceAddress): {
  readonly origin: string
  readonly store: string
} {
  const hint = 'write changelog+http://HOST:PORT/STORE//bucket, without a store where the server has only one'
  const [unknown] = options.keys()
  if (unknown !== undefined) {
    throw new BlobsError('InvalidRequest', `${text}: there is no option ${unknown}`, {
      hint: 'a change log takes no options',
    })
  }
  const store = path.slice(1)
  if (authority === '' || store.includes('/'))
    throw new BlobsError('InvalidRequest', `${text} names no change log`, { hint })
  return { origin: `${scheme === 'changelog+https' ? 'https' : 'http'}://${authority}`, store }
}
