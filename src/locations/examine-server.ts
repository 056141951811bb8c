import type { Clock } from '../platform/ports.ts'
import { isBlobsError } from '../store/contract/errors.ts'
import type { PlaceFinding } from '../store/ports.ts'
import type { Places } from './places.ts'

/** Something about the way to a server or a place: `error` for what does not work. */
export type ServerFinding = { readonly error: unknown } | PlaceFinding

/** How much the server lets one see. */
export interface ServerExamined {
  readonly buckets: number
}

const MINUTE = 60_000
const DAY = 86_400_000
/** Beyond this, tokens that were just made do not hold yet, and times mislead. */
const SKEW = MINUTE
const SOON = 7 * DAY

/**
 * Looks at the way to a server step by step: whether it is there and trusted, its clock, the token, the bucket ('' for none). Ends with the
 * first step that does not work.
 */
export async function* examineServer(
  places: Places,
  { location, bucket, clock }: { readonly location: string; readonly bucket: string; readonly clock: Clock },
): AsyncGenerator<ServerFinding, ServerExamined> {
  let buckets = 0
  try {
    const { ready, ahead } = await places.probe(location)
    if (!ready) {
      const message = `${location} answers, but cannot take writes now`
      yield {
        code: 'not-ready',
        severity: 'warning',
        message,
        remedy: 'its log says why; on its machine: blobs doctor --data DIR',
      }
    }
    if (ahead !== null && Math.abs(ahead) > SKEW) yield clockFinding(location, ahead)
    const { token } = await places.credentials(location)
    if (token !== undefined && isExposed(location)) {
      const message = `the token travels to ${location} unencrypted`
      yield {
        code: 'unencrypted',
        severity: 'warning',
        message,
        remedy: 'use an https:// address, or a tunnel to this machine',
      }
    }
    if (token !== undefined) {
      const left = await timeLeft(places, location, token, clock)
      if (left !== null && left < SOON) {
        const days = Math.floor(left / DAY)
        const span = days === 0 ? 'less than a day' : `${days} ${days === 1 ? 'day' : 'days'}`
        const message = `the token for ${location} expires in ${span}`
        yield {
          code: 'token',
          severity: 'warning',
          message,
          remedy: 'ask for a new one: blobs token create, on the server',
        }
      }
    }
    for await (const _one of (await places.buckets(location)).list()) buckets += 1
    if (bucket !== '') await (await places.open({ location, bucket })).info()
  } catch (error) {
    yield { error }
  }
  return { buckets }
}

function clockFinding(location: string, ahead: number): ServerFinding {
  const minutes = Math.round(Math.abs(ahead) / MINUTE)
  const span = minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`
  return {
    code: 'clock',
    severity: 'warning',
    message: `the clock of this machine is ${span} ${ahead > 0 ? 'behind' : 'ahead of'} that of ${location}`,
    remedy: 'set the one that is wrong, as with timedatectl set-ntp true: tokens and --at go by them',
  }
}

function isExposed(location: string): boolean {
  const { protocol, hostname } = new URL(location)
  return protocol === 'http:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname)
}

/** Milliseconds until the token expires; null: it does not, or the server is too old to say. */
async function timeLeft(places: Places, location: string, token: string, clock: Clock): Promise<number | null> {
  try {
    const { expires } = await places.whoIs(location, token)
    return expires === null ? null : Date.parse(expires) - clock.now()
  } catch (error) {
    if (isBlobsError(error, 'NotFound') || isBlobsError(error, 'NotSupported')) return null
    throw error
  }
}
