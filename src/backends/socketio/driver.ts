import { join } from 'node:path'
import { sha256 } from '../../content/hash.ts'
import { authoritiesWith } from '../../platform/network.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { Backend, BackendContext, BackendDriver, BackendPromises, PlaceAddress } from '../../store/ports.ts'
import { openContent } from './content.ts'
import { readHint, writeHint } from './hint.ts'
import { openLines, type Lines } from './lines.ts'
import { openLog } from './log.ts'
import { damaged, openPlaces } from './places.ts'
import { openRefs, type Refs } from './refs.ts'
import { openSingles } from './singles.ts'
import { openWatcher } from './watcher.ts'

const KIB = 1024
const MAX_FRAME = 720 * KIB
const PROMISES: BackendPromises = {
  name: 'socketio',
  durability: 'service',
  maxEntryBytes: 512 * KIB,
  live: 'pushed',
  cannot: {
    'making buckets':
      'a token of such a server is for one bucket, the only one that there is, and nothing is ever removed',
    trimming: 'the server cannot remove anything',
    sweeping: 'the server cannot remove anything, and does not tell what there is',
  },
}
/** Milliseconds that an answer may take. */
const ANSWER_LIMIT = 30_000

/** A server of versioned blobs by Socket.IO (andrew-markin/blobs): `socketio+http://host:3000/bucket/key`. */
export const socketio: BackendDriver = {
  promises: PROMISES,
  open: async (address, context) => openSocketBackend(address, context, ANSWER_LIMIT),
  openSingles: async (address, context, name) => {
    const { bucket, lines } = await openConnection(address, context, ANSWER_LIMIT)
    if (name !== bucket) throw otherBucket(address, name, bucket)
    return openSingles(openRefs(lines, context.clock), bucket, () => lines.close())
  },
}

/** `answerLimit`: milliseconds that an answer may take. Throws `InvalidRequest`, `Unauthenticated`. */
export async function openSocketBackend(
  address: PlaceAddress,
  context: BackendContext,
  answerLimit: number,
): Promise<Backend> {
  const { bucket, lines } = await openConnection(address, context, answerLimit)
  const refs = openRefs(lines, context.clock)
  return backendOf({ address, context, bucket, lines, refs })
}

interface Opened {
  readonly address: PlaceAddress
  readonly context: BackendContext
  readonly bucket: string
  readonly lines: Lines
  readonly refs: Refs
}

/** The connections to the server of an address, and the bucket that the token is for. Throws `InvalidRequest`, `Unauthenticated`. */
async function openConnection(
  { scheme, authority, path, options, text }: PlaceAddress,
  { token, ca, clock }: BackendContext,
  answerLimit: number,
): Promise<{ readonly bucket: string; readonly lines: Lines }> {
  const [unknown] = options.keys()
  if (unknown !== undefined) {
    throw new BlobsError('InvalidRequest', `${text}: there is no option ${unknown}`, {
      hint: 'a Socket.IO server of blobs takes no options',
    })
  }
  const given = await token()
  if (given === null) {
    throw new BlobsError('Unauthenticated', `${text} wants a token`, {
      hint: 'give the one that was made for its bucket: BLOBS_TOKEN, BLOBS_TOKEN_FILE, --token-file or --token-stdin',
    })
  }
  const origin = `${scheme === 'socketio+https' ? 'https' : 'http'}://${authority}`
  const trusted = ca === undefined ? {} : { ca: await authoritiesWith(ca) }
  const lines = openLines({ origin, path, token: given, clock, answerLimit, ...trusted })
  return { bucket: bucketOf(given, text), lines }
}

function backendOf({ address, context, bucket, lines, refs }: Opened): Backend {
  const { cacheDirectory, clock, ids } = context
  const hintPath = join(cacheDirectory, `end-${sha256(Buffer.from(bucket)).slice(0, 32)}.json`)
  const remedy = `bring its files back from a backup · if what it has now is to count: rm ${hintPath}`
  const check = (name: string): void => {
    if (name !== bucket) throw otherBucket(address, name, bucket)
  }
  /** Null if there is no bucket. Throws `Corrupt` if there was one. */
  const readId = async (): Promise<string | null> => {
    const value = await refs.readKnown(MARK)
    const id = value?.bytes === null || value === null ? null : idOf(value.bytes)
    if (value !== null && id === null) throw damaged(`what says that there is a bucket ${bucket} is damaged`, remedy)
    if (value === null && readHint(hintPath) !== null) {
      throw damaged(`the server at ${address.text} has lost the bucket ${bucket}, which was there`, remedy)
    }
    return id
  }
  return {
    promises: PROMISES,
    viewDirectory: join(cacheDirectory, 'views'),
    create: async (name) => {
      check(name)
      if ((await readId()) !== null) return false
      const mark = Buffer.from(`${MARK_LINE}${ids.next()}\n`)
      const there = await refs.create(MARK, mark)
      return there === null || (there.bytes !== null && mark.equals(there.bytes))
    },
    names: async () => ((await readId()) === null ? [] : [bucket]),
    remove: async (name) => {
      check(name)
      if ((await readId()) === null) return false
      throw new BlobsError(
        'NotSupported',
        `${address.text}: bucket ${name} cannot be removed: the server removes nothing`,
        {
          bucket: name,
          hint: 'its operator can remove the files of the bucket where the server is',
        },
      )
    },
    open: async (name) => {
      check(name)
      const id = await readId()
      if (id === null) return null
      const hint = readHint(hintPath)
      const log = openLog({
        places: openPlaces(refs, id, remedy),
        watcher: openWatcher(lines),
        clock,
        seen: hint?.id === id ? hint : null,
        onClose: async ({ place, next }) => {
          const before = readHint(hintPath)
          if (before?.id !== id || before.place < place) await writeHint(hintPath, { id, place, next }, ids)
        },
        remedy,
        maxEntryBytes: PROMISES.maxEntryBytes,
        maxFrameBytes: MAX_FRAME,
      })
      return { log, content: openContent(refs) }
    },
    close: async () => lines.close(),
  }
}

const MARK_LINE = 'blobs bucket 1\n'
/** Where the id of the bucket stands. */
const MARK = sha256(Buffer.from(MARK_LINE))

function idOf(bytes: Uint8Array): string | null {
  return /^blobs bucket 1\n([0-9a-f]{32})\n$/.exec(Buffer.from(bytes).toString('latin1'))?.[1] ?? null
}

/** The bucket that a token says it is for; the server checks whether it is good. */
function bucketOf(token: string, place: string): string {
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
      bucket?: unknown
    } | null
    if (typeof claims?.bucket === 'string' && claims.bucket !== '') return claims.bucket
  } catch {
    // It is none of these tokens.
  }
  throw new BlobsError('Unauthenticated', `what was given as a token for ${place} names no bucket`, {
    hint: 'a token is made where the server is: npm run token BUCKET',
  })
}

function otherBucket({ text }: PlaceAddress, name: string, bucket: string): BlobsError {
  return new BlobsError(
    'Forbidden',
    `the token for ${text} is for the bucket ${bucket}, and for no other: there is no ${name}`,
    {
      bucket: name,
      hint: `name ${bucket}, or give the token of ${name}`,
    },
  )
}
