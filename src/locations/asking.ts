import { resolve } from 'node:path'
import type { Probe } from '../store/http/probe.ts'
import { findCredentials, wayTo, type Credentials } from './credentials.ts'
import type { Examined } from './open-place.ts'
import { credentialsOptions, placeOptions, tokenSources, type Setting } from './setting.ts'
import { isServer, parseLocation, type Location } from './target.ts'
import { givenToken } from './token.ts'
import type { OwnToken, TokenOffice } from './tokens.ts'

/** What is asked of servers about themselves and about tokens. */
export interface Questions {
  /**
   * Where tokens are made: a server, or a data directory. Unless one is given it is `here`; with `TOKEN_SECRET` set, which signs them,
   * the embedded store, which is made only where that is wished. A server is asked with `token`, if given, instead of the one that is kept
   * for it. Throws `NotFound` where there is none.
   */
  tokens(where: {
    readonly server?: string | undefined
    readonly data?: string | undefined
    readonly make?: boolean
    readonly token?: string
  }): Promise<TokenOffice>
  /** The token that was given by hand, or null. Throws as `givenToken`. */
  givenToken(): Promise<string | null>
  /** The token for a server, or for a bucket there, and where it comes from. Throws as `findCredentials`. */
  credentials(location: Location, bucket?: string): Promise<Credentials>
  /** What a token allows, as the server tells. Throws `Unauthenticated`, and what stands in the way there. */
  whoIs(location: Location, token: string): Promise<OwnToken>
  /** What a server says to anybody. Throws `Unavailable`, `Refused`. */
  probe(location: Location): Promise<Probe>
  /** What a driver says of a place that it opens: what it promises, and what it finds there. Throws as `Driver.open`. */
  examine(location: Location): Promise<Examined>
  /** Milliseconds since 1970 by the clock that stamps versions there. Throws as `probe`. */
  timeAt(location: Location): Promise<number>
}

interface Asking {
  readonly setting: Setting
  readonly here: Location
  /** To be closed with the places. */
  readonly offices: TokenOffice[]
  /** Throws when a token that was given by hand would go to a second server. */
  readonly check: (location: Location) => void
}

/** What is asked of servers about themselves and about tokens. */
export function askServers({ setting, here, offices, check }: Asking): Questions {
  const { options, where } = setting
  const { env, ids } = options
  const asked = credentialsOptions(setting)
  const ask = async (location: Location): Promise<Probe> => {
    const { probe } = await import('../store/http/probe.ts')
    return probe({ origin: location, ...(await wayTo(location, asked)), clock: options.clock })
  }
  return {
    tokens: async ({ server, data, make = false, token }) => {
      const local = data !== undefined || (server === undefined && Boolean(env['TOKEN_SECRET']))
      const location = local ? '' : server === undefined ? here : parseLocation(server, '--server')
      check(location)
      const { openLocalTokens, openServerTokens } = await import('./tokens.ts')
      const office =
        location === ''
          ? await openLocalTokens({
              env,
              data: resolve(data ?? (env['BLOBS_DATA'] || where.data)),
              make,
              clock: options.clock,
              ids,
            })
          : await openServerTokens({
              origin: location,
              ...(await findCredentials(location, asked)),
              ...(token === undefined ? {} : { token }),
            })
      offices.push(office)
      return office
    },
    givenToken: async () => (await givenToken(tokenSources(options)))?.token ?? null,
    credentials: async (location, bucket) => {
      check(location)
      return findCredentials(location, asked, bucket)
    },
    whoIs: async (location, token) => {
      const { openServerTokens } = await import('./tokens.ts')
      const trust = await wayTo(location, asked)
      const office = await openServerTokens({ origin: location, ...trust, token })
      return office.examine(token).finally(() => office.close())
    },
    probe: ask,
    examine: async (location) => {
      const { examinePlace } = await import('./open-place.ts')
      const place = placeOptions(setting)
      return examinePlace(location, { clock: options.clock, ids, place, ...(await findCredentials(location, asked)) })
    },
    timeAt: async (location) => {
      const ahead = isServer(location) ? (await ask(location)).ahead : null
      // It tells whole seconds: less is no difference.
      return options.clock.now() + (ahead === null || Math.abs(ahead) < 1000 ? 0 : ahead)
    },
  }
}
