import { problem } from '../../src/protocol/problems.ts'
import type { WireAnswer } from './wire.ts'

/** Why an answer is not one that the protocol allows; null when it is. */
export function fault({ status, headers, body }: WireAnswer): string | null {
  const type = headers.get('content-type') ?? ''
  const length = headers.get('content-length')
  if (status < 200 || (status >= 300 && status < 400 && status !== 304)) return `status ${status}`
  if (status < 400) return textFault(type, body)
  // Faces fail in the words of the servers whose protocol they speak.
  if (headers.has('x-blobs-face')) {
    return headers.has('x-blobs-code') ? textFault(type, body) : 'a failure of a face without a code'
  }
  if (!type.startsWith('application/problem+json')) return `a failure as ${type}`
  const code = headers.get('x-blobs-code')
  if (code === undefined) return 'a failure without a code'
  // The answer to a HEAD says how long its body would have been.
  if (body.length === 0 && length !== '0') {
    // What was no request at all is refused without knowing its method.
    return headers.has('x-blobs-detail') || !headers.has('x-request-id') ? null : 'a failure without a body'
  }
  try {
    const told = problem(JSON.parse(body.toString()), '')
    return told.code === code && told.status === status ? null : `${code} as ${told.code}, ${status} as ${told.status}`
  } catch (error) {
    return `no problem: ${String(error)}`
  }
}

function textFault(type: string, body: Buffer): string | null {
  if (!type.startsWith('application/json') || body.length === 0) return null
  try {
    JSON.parse(body.toString())
    return null
  } catch (error) {
    return `no JSON: ${String(error)}`
  }
}
