import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'

/** Addresses of this machine that others may reach it at, IPv4 first; none that are of this machine or this wire alone. */
export function ownAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  const reachable = all.filter(({ internal, address }) => !internal && !/^(fe80:|169\.254\.)/i.test(address))
  return reachable.map(({ address }) => address).sort((a, b) => isIP(a) - isIP(b))
}

/** True for an address that only this machine itself reaches. */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host)
}

/** True for what listens at every address. */
export function isAny(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
