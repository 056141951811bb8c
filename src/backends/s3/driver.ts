import { join } from 'node:path'
import { chanceBy } from '../../platform/chance.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import { openObjectBackend } from '../../store/objects/backend.ts'
import type { BackendContext, BackendDriver, BackendPromises, PlaceAddress, PlaceFinding } from '../../store/ports.ts'
import { openS3Client, type S3Client } from './client.ts'
import { openGate } from './gate.ts'
import { AT_ONCE, openS3Objects } from './objects.ts'
import { CHECKS, probe } from './probe.ts'
import { readSettings } from './settings.ts'
import { openVerdicts } from './verdicts.ts'

const MIB = 1024 * 1024
const PROMISES: BackendPromises = {
  name: 's3',
  durability: 'service',
  maxEntryBytes: MIB,
  live: 'polled',
  cannot: {},
}
/** Milliseconds between two looks for what others appended. */
const LOOKS = [250, 5000] as const
/** Options of the URL beside those of S3. */
const MORE = ['poll', 'single-writer'] as const
/** Milliseconds of a difference between two clocks that are worth a word: signatures fail at 15 minutes. */
const SKEW = 60_000

/** A bucket of any S3 service that knows conditional writes: `s3://BUCKET/name/key?endpoint=URL`, `s3://BUCKET/prefix//name/key`. */
export const s3: BackendDriver = {
  promises: PROMISES,
  open: async (address, context) => {
    const looks = pollOf(address)
    const { client, another, prefix } = await connect(address, context)
    const gate = openGate({ client, another, prefix, context })
    return openObjectBackend({
      objects: openS3Objects({ client, prefix, gate, clock: context.clock }),
      promises: PROMISES,
      viewDirectory: join(context.cacheDirectory, 'views'),
      clock: context.clock,
      ids: context.ids,
      parallel: AT_ONCE,
      maxFrameBytes: 8 * MIB,
      looks,
    })
  },
  examine,
}

interface Connected {
  readonly client: S3Client
  /** Another one, with connections of its own. */
  readonly another: () => Promise<S3Client>
  readonly prefix: string
}

async function connect(address: PlaceAddress, context: BackendContext): Promise<Connected> {
  const { clock, ids, env, ca } = context
  const settings = readSettings(address.authority, address.options, env, MORE)
  const chance = (): number => chanceBy(ids)
  const another = (): Promise<S3Client> =>
    openS3Client({ settings, clock, chance, ca, proxyFor: (url) => context.proxyFor(url) })
  const path = address.path.replace(/^\/+/, '')
  return { client: await another(), another, prefix: path === '' ? '' : `${path}/` }
}

async function* examine(address: PlaceAddress, context: BackendContext): AsyncGenerator<PlaceFinding> {
  const { client, another, prefix } = await connect(address, context)
  const { settings } = client
  try {
    await client.page({ prefix, limit: 1 })
    yield fact(
      'reached',
      `S3 bucket ${settings.bucket} answers at ${settings.endpoint} (${settings.region}, ${settings.style} style)`,
    )
    yield fact('credentials', `the credentials are those of ${settings.credentials().from}`)
    const ahead = client.ahead() ?? 0
    yield Math.abs(ahead) > SKEW ? clockFinding(ahead) : fact('clock', 'the clocks here and there agree')
    const versioning = await client.versioning()
    if (versioning !== null) yield fact('versioning', `versioning by the service is ${versioning}`)
    const verdicts = openVerdicts(settings, context)
    const before = verdicts.passed()
    if (before !== null) yield fact('probed', `probed before: ${new Date(before).toISOString()}`)
    const verdict = await probe({ client, another, prefix, ids: context.ids })
    if (!verdict.ok) return yield liar(verdict.saw)
    await verdicts.keep()
    for (const check of CHECKS) yield fact('probe', `seen now: ${check}`)
  } finally {
    client.close()
  }
}

function fact(code: string, message: string): PlaceFinding {
  return { code, severity: 'fact', message, remedy: '' }
}

function clockFinding(ahead: number): PlaceFinding {
  const minutes = Math.round(Math.abs(ahead) / 60_000)
  return {
    code: 'clock',
    severity: 'warning',
    message: `the clock of this machine is ${minutes} min ${ahead > 0 ? 'behind' : 'ahead of'} that of the service`,
    remedy: 'set the one that is wrong, as with timedatectl set-ntp true',
  }
}

function liar(saw: string): PlaceFinding {
  return {
    code: 'probe',
    severity: 'warning',
    message: `this bucket does not keep several writers apart: ${saw}`,
    remedy: 'use another bucket or service, or, if one program alone writes there, --single-writer',
  }
}

function pollOf({ options }: PlaceAddress): readonly [number, number] {
  const text = options.get('poll')
  if (text === undefined) return LOOKS
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? []
  const milliseconds = Number(number) * (unit === 'm' ? 60_000 : unit === 's' ? 1000 : 1)
  if (number !== '' && milliseconds >= 50 && milliseconds <= 3_600_000) return [milliseconds, milliseconds]
  throw new BlobsError('InvalidRequest', `poll is ${JSON.stringify(text)}, which is no time between 50ms and 60m`, {
    hint: 'write it as 500ms, 2s or 1m',
  })
}
