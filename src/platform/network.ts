const UNTRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_VERIFY|UNABLE_TO_GET_ISSUER/
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the name of the host cannot be looked up now',
  ECONNRESET: 'the connection was cut',
  EPIPE: 'the connection was cut',
  EHOSTUNREACH: 'no way to the host',
  ENETUNREACH: 'no network',
}

/** True for the code of an error that says that the other side's certificate is not trusted. */
export function isUntrusted(code: string): boolean {
  return UNTRUSTED.test(code)
}

/** What an error of the network means, in words: those of its code, else its own. */
export function networkReason(code: string, cause: unknown): string {
  return REASONS[code] ?? (cause instanceof Error ? cause.message : String(cause))
}

/** The usual authorities, and one more; each is PEM. */
export async function authoritiesWith(ca: string): Promise<string[]> {
  return [...(await import('node:tls')).getCACertificates('default'), ca]
}
