import { BlockList, isIP, isIPv4 } from 'node:net'
import { BlobsError } from '../store/contract/errors.ts'
import type { Location } from './target.ts'

type Env = Readonly<Record<string, string | undefined>>

/**
 * The proxy that the way to a server goes by, as its URL, or null for none: `HTTPS_PROXY` or `HTTP_PROXY` by the scheme of the server's
 * URL, unless `NO_PROXY` names it; each also in lower case. This machine itself is never asked for by a proxy. Throws `InvalidRequest` for
 * what is no proxy.
 */
export function proxyFor(location: Location, env: Env): string | null {
  const url = new URL(location)
  const name = url.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY'
  const text = env[name.toLowerCase()] || env[name]
  if (!text) return null
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase()
  if (isThisMachine(host) || isExcepted(host, url.port, env['no_proxy'] || env['NO_PROXY'] || '')) return null
  const proxy = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`
  if (URL.canParse(proxy) && /^https?:$/.test(new URL(proxy).protocol)) return proxy
  throw new BlobsError('InvalidRequest', `${name} is not the address of an HTTP proxy`, {
    hint: 'write it as http://host:3128, or http://user:password@host:3128',
  })
}

function isThisMachine(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host === '::1' || /^127(\.\d+){3}$/.test(host)
}

/** `*`, names (with all below them), addresses, ranges of them as 10.0.0.0/8; each also with `:port`. */
function isExcepted(host: string, port: string, exceptions: string): boolean {
  return exceptions
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((exception) => {
      if (exception === '*' || exception === host) return true
      const [, range = '', bits = ''] = /^([0-9a-f.:]+)\/(\d+)$/.exec(exception) ?? []
      if (range !== '') return isInRange(host, range, Number(bits))
      const [, name = exception, only] = /^(.*?)(?::(\d+))?$/.exec(exception) ?? []
      if (only !== undefined && only !== port) return false
      const wanted = name.replace(/^\*?\./, '')
      return host === wanted || (isIP(host) === 0 && host.endsWith(`.${wanted}`))
    })
}

function isInRange(host: string, range: string, bits: number): boolean {
  if (isIP(host) === 0 || isIP(host) !== isIP(range)) return false
  const family = isIPv4(range) ? 'ipv4' : 'ipv6'
  if (bits > (family === 'ipv4' ? 32 : 128)) return false
  const list = new BlockList()
  list.addSubnet(range, bits, family)
  return list.check(host, family)
}
