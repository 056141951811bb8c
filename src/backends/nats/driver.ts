import { join } from 'node:path'
import type { BackendContext, BackendPromises, BackendDriver } from '../../store/ports.ts'
import { examine } from './examine.ts'
import { openNatsBackend } from './backend.ts'
import { openJetStream } from './jetstream.ts'
import { namesOf } from './names.ts'
import { placeIn, readOptions } from './options.ts'
import { openRegistry } from './registry.ts'
import { openWire } from './wire.ts'

const MIB = 1024 * 1024
/** Bytes of a message that its headers may take. */
const HEADERS = 2048
/** Of a new bucket, where there is more than one server. */
const REPLICAS = 3

const PROMISES: BackendPromises = {
  name: 'nats',
  durability: 'replicated',
  maxEntryBytes: MIB - HEADERS,
  live: 'pushed',
  mayLag: true,
  cannot: {},
}

/** JetStream, on one server or a cluster: `nats://host:4222,host:4222/bucket/key?replicas=3`. */
export const nats: BackendDriver = {
  promises: PROMISES,
  open: async (address, context) => {
    const [options, names] = [readOptions(address), namesOf(placeIn(address))]
    const { clock, ids } = context
    const wire = await openWire(options, context)
    try {
      const js = openJetStream(wire, { options, clock, ids })
      await js.check()
      const replicas = options.replicas ?? (wire.cluster === null ? 1 : REPLICAS)
      return openNatsBackend({
        wire,
        js,
        names,
        registry: openRegistry(js, names, ids),
        promises: {
          ...PROMISES,
          durability: replicas > 1 ? 'replicated' : 'service',
          maxEntryBytes: Math.min(wire.maxPayload, MIB) - HEADERS,
        },
        replicas,
        viewDirectory: join(context.cacheDirectory, 'views'),
        clock,
        ids,
        warnAlone: once(
          context,
          `${options.text} keeps this on one server: lost with it; 3 servers and ?replicas=3 are safe`,
        ),
      })
    } catch (error) {
      await wire.close()
      throw error
    }
  },
  examine,
}

function once({ warn }: BackendContext, message: string): () => void {
  let told = false
  return () => {
    if (!told) warn(message)
    told = true
  }
}
