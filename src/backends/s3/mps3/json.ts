/** The only member of the object that holds bytes which are no JSON, in base64. */
const WRAPPED = 'blobs:base64'

/**
 * Bytes as a value that every client reads: JSON as it is, anything else as `{"blobs:base64":"…"}`; so, too, no bytes at all, and JSON that looks
 * just like that.
 */
export function toValue(bytes: Uint8Array): Uint8Array {
  if (isJson(bytes) && unwrapped(bytes) === null) return bytes
  return Buffer.from(JSON.stringify({ [WRAPPED]: Buffer.from(bytes).toString('base64') }))
}

/** The bytes that a value stands for. */
export function fromValue(value: Uint8Array): Uint8Array {
  return unwrapped(value) ?? value
}

function isJson(bytes: Uint8Array): boolean {
  try {
    parse(bytes)
    return true
  } catch {
    return false
  }
}

function unwrapped(value: Uint8Array): Uint8Array | null {
  const text = Buffer.from(value.buffer, value.byteOffset, Math.min(value.length, 64)).toString('latin1')
  if (!text.trimStart().startsWith('{') || !text.includes(WRAPPED)) return null
  try {
    const document = parse(value)
    const entries = typeof document === 'object' && document !== null ? Object.entries(document) : []
    const [[name, base64] = ['', null]] = entries
    if (entries.length !== 1 || name !== WRAPPED || typeof base64 !== 'string') return null
    const bytes = Buffer.from(base64, 'base64')
    return bytes.toString('base64') === base64 ? bytes : null
  } catch {
    return null
  }
}

function parse(bytes: Uint8Array): unknown {
  return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
}
