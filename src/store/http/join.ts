import { joinAnswer } from '../../protocol/messages.ts'
import { JOIN_PATH } from '../../protocol/routes.ts'
import type { Checked } from '../../protocol/schema.ts'
import { askJson, jsonBody } from './client.ts'
import { unreachable } from './failures.ts'
import { openTransport, type TransportOptions } from './transport.ts'

const PATIENCE = 10_000

/** The certificate that the server at an `https:` origin shows, DER, whoever signed it; nothing is sent there. Throws `Unavailable`. */
export async function shownCertificate(origin: string): Promise<Uint8Array> {
  const { connect } = await import('node:tls')
  const { hostname, port } = new URL(origin)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    // Not verified on purpose: it is compared with the fingerprint that its owner told, before anything is said.
    const socket = connect({ host, port: Number(port || 443), rejectUnauthorized: false, timeout: PATIENCE })
    const fail = (error: Error): void => {
      socket.destroy()
      reject(unreachable(error, origin))
    }
    socket.once('error', fail)
    socket.once('timeout', () => fail(new Error(`no answer within ${PATIENCE / 1000} s`)))
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      if (certificate === undefined) return fail(new Error('it shows no certificate'))
      socket.destroy()
      resolve(certificate.raw)
    })
  })
}

/** Spends a one-time code for a token. Throws `Unauthenticated` for one that is spent, expired or unknown, `Unavailable`, `Refused`. */
export async function redeemCode(
  server: Pick<TransportOptions, 'origin' | 'ca' | 'certificate'>,
  body: { readonly code: string; readonly name: string },
): Promise<Checked<typeof joinAnswer>> {
  const transport = await openTransport(server)
  try {
    // Twice would find the code spent.
    const request = { method: 'POST', path: JOIN_PATH, body: jsonBody(body), once: true } as const
    return await askJson(transport, request, joinAnswer)
  } finally {
    transport.close()
  }
}
