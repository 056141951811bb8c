import { BlobsError } from '../../store/contract/errors.ts'
import type { PlaceAddress } from '../../store/ports.ts'

const PORT = 4222
const MOST_REPLICAS = 5

/** What the URL of a place on NATS says. */
export interface NatsOptions {
  /** `host:port` of each. */
  readonly servers: readonly string[]
  /** Null: what suits the servers. */
  readonly replicas: number | null
  /** Path of a credentials file; null for none. */
  readonly creds: string | null
  readonly tls: 'offered' | 'required' | 'first'
  /** JetStream domain; null for that of the server. */
  readonly domain: string | null
  /** For messages. */
  readonly text: string
}

const KNOWN = ['replicas', 'creds', 'tls', 'domain'] as const

/** Throws `InvalidRequest` for what is unknown or wrong. */
export function readOptions({ text, options, authority }: PlaceAddress): NatsOptions {
  for (const name of options.keys()) {
    if (!(KNOWN as readonly string[]).includes(name)) {
      throw wrong(`${text}: there is no option ${name}`, `there are ${KNOWN.join(', ')}`)
    }
  }
  return {
    servers: serversOf(authority, text),
    replicas: replicasOf(options.get('replicas'), text),
    creds: options.get('creds') ?? null,
    tls: tlsOf(options.get('tls'), text),
    domain: domainOf(options.get('domain'), text),
    text,
  }
}

/** Sets of buckets of one account that know nothing of each other; `main` unless the URL has a path. */
export function placeIn({ path, text }: PlaceAddress): string {
  const place = path === '' ? 'main' : path.slice(1)
  if (/^[a-z0-9][a-z0-9-]{0,31}$/i.test(place)) return place
  throw wrong(`${text}: ${place} cannot be a place`, 'up to 32 letters, digits and -: nats://HOST/PLACE//BUCKET')
}

/** The Object Store bucket that a URL names. */
export function objectBucketIn({ path, text }: PlaceAddress): string {
  const bucket = path.slice(1)
  if (/^[\w-]{1,128}$/.test(bucket)) return bucket
  throw wrong(`${text} names no object bucket`, 'letters, digits, - and _: nats+obj://HOST:4222/BUCKET')
}

function serversOf(authority: string, text: string): readonly string[] {
  const servers = authority.split(',').filter((server) => server !== '')
  if (servers.length === 0) throw wrong(`${text} names no server`, 'write it as nats://host:4222/bucket')
  return servers.map((server) => {
    if (!URL.canParse(`tcp://${server}`)) throw wrong(`${text}: ${server} is no server`, 'write HOST:PORT,HOST:PORT,…')
    return /:\d+$/.test(server) ? server : `${server}:${PORT}`
  })
}

function replicasOf(value: string | undefined, text: string): number | null {
  if (value === undefined) return null
  const replicas = /^\d$/.test(value) ? Number(value) : 0
  if (replicas >= 1 && replicas <= MOST_REPLICAS) return replicas
  throw wrong(`${text}: replicas is ${value}, not a number from 1 to ${MOST_REPLICAS}`, '3 survive the loss of one')
}

function tlsOf(value: string | undefined, text: string): NatsOptions['tls'] {
  if (value === undefined) return 'offered'
  if (value === 'required' || value === 'first') return value
  throw wrong(`${text}: tls is ${value}`, 'required; or first, where the server starts with it; else as it offers')
}

function domainOf(value: string | undefined, text: string): string | null {
  if (value === undefined) return null
  if (/^[\w-]{1,64}$/.test(value)) return value
  throw wrong(`${text}: ${value} cannot be a JetStream domain`, 'letters, digits, - and _')
}

function wrong(message: string, hint: string): BlobsError {
  return new BlobsError('InvalidRequest', message, { hint })
}
