import type { Hash } from '../../content/hash.ts'
import { BlobsError } from '../../store/contract/errors.ts'
import type { StreamConfig } from './answers.ts'

const DIGEST = 'SHA-256='

/** What is known of an object, as NATS' clients write it (ADR-20). */
export interface Meta {
  readonly name: string
  readonly bucket: string
  /** Names the object's messages. */
  readonly nuid: string
  readonly size: number
  readonly chunks: number
  readonly digest: string
  readonly mtime?: string
  readonly deleted?: boolean
  readonly description?: string
  readonly options?: { readonly link?: unknown; readonly max_chunk_size?: number }
}
export interface ObjectNames {
  readonly bucket: string
  readonly stream: string
  /** Of all objects. */
  readonly anyMeta: string
  meta(name: string): string
  pieces(nuid: string): string
  readonly config: StreamConfig
}
export function objectNames(bucket: string, replicas: number): ObjectNames {
  const [stream, root] = [`OBJ_${bucket}`, `$O.${bucket}`]
  return {
    bucket,
    stream,
    anyMeta: `${root}.M.>`,
    meta: (name) => `${root}.M.${base64url(Buffer.from(name))}`,
    pieces: (nuid) => `${root}.C.${nuid}`,
    config: {
      name: stream,
      subjects: [`${root}.C.>`, `${root}.M.>`],
      num_replicas: replicas,
      retention: 'limits',
      storage: 'file',
      discard: 'new',
      max_age: 0,
      allow_rollup_hdrs: true,
      allow_direct: true,
    },
  }
}

/** With the padding that the format has, and Node leaves out. */
function base64url(bytes: Buffer): string {
  const text = bytes.toString('base64url')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

/** The object's name in the subject of what is known of it. */
export function nameIn(subject: string): string {
  return Buffer.from(subject.split('.').at(-1) ?? '', 'base64url').toString('utf8')
}

/** How the format writes a hash. */
export function digestOf(hash: Hash): string {
  return `${DIGEST}${base64url(Buffer.from(hash, 'hex'))}`
}

export function parseMeta(data: Uint8Array): Meta {
  try {
    return JSON.parse(Buffer.from(data).toString('utf8')) as Meta
  } catch (cause) {
    throw new BlobsError('Corrupt', 'what is known of an object cannot be read', { cause })
  }
}

/** An object that is called by a hash holds its bytes, by its own word; else it is another's. */
export function checkMeta(text: string, { name, digest = '', options }: Meta): void {
  if (options?.link !== undefined && options.link !== null) {
    throw new BlobsError('NotSupported', `${text}: the object ${name} is a link to another one`, {
      hint: 'get it with the tools of NATS',
    })
  }
  const there = digest.startsWith(DIGEST) ? Buffer.from(digest.slice(DIGEST.length), 'base64url').toString('hex') : ''
  if (there === name) return
  throw new BlobsError('Corrupt', `${text}: the object ${name} has other bytes than its name says, by its digest`, {
    hint: 'whoever put it there did not call it by its SHA-256',
  })
}
