import type { ApiError } from './failures.ts'

/** What JetStream's API answers, of any call. */
export type Answer = { readonly error?: ApiError } & Readonly<Record<string, unknown>>
export interface StreamState {
  /** Of the first message there is; one behind the last if there is none. */
  readonly first: number
  readonly last: number
}
export interface StreamInfo extends StreamState {
  readonly config: StreamConfig
  /** Null on a single server, and while nobody leads: then any of those that hold it may have answered. */
  readonly leader: string | null
  /** The servers beside the leader that hold it; none on a single server. */
  readonly followers: readonly Follower[]
  readonly bytes: number
  /** Milliseconds since 1970 by the server's clock. */
  readonly created: number
}
interface Follower {
  readonly name: string
  /** It has all that the leader has. */
  readonly current: boolean
  readonly offline?: boolean
  /** Nanoseconds since the leader heard from it. */
  readonly active?: number
  /** Operations that it is behind. */
  readonly lag?: number
}
export interface StreamConfig {
  readonly name: string
  readonly subjects: readonly string[]
  readonly num_replicas: number
  readonly [option: string]: unknown
}
export interface StoredMessage {
  readonly subject: string
  readonly sequence: number
  /** When it was stored, in milliseconds since 1970 by the server's clock. */
  readonly time: number
  /** The caller's own. */
  readonly data: Uint8Array
  readonly headers: ReadonlyMap<string, string>
}

/**
 * Nobody is elected in place of a leader whom most have heard within four seconds; one who heard of fewer in this time may have been
 * replaced without knowing.
 */
const LEASE_NS = 3.5e9

/** Whether who answered leads the stream for sure, so that there is nothing newer elsewhere. */
export function isLed({ config, leader, followers }: StreamInfo): boolean {
  if (config.num_replicas === 1) return true
  const heard = followers.filter(({ active = 0 }) => active < LEASE_NS).length
  return leader !== null && heard + 1 > config.num_replicas / 2
}

/** A stream has a name first; then, in one step, the time at which it was made and what stores it. */
export function isWhole(answer: Answer): boolean {
  return Date.parse(String(answer['created'])) > 0
}

export interface EncodedMessage {
  readonly subject: string
  readonly seq: number
  readonly time: string
  /** Base64; absent when empty. */
  readonly data?: string
  readonly hdrs?: string
}

export function decodeMessage({ subject, seq, time, data = '', hdrs = '' }: EncodedMessage): StoredMessage {
  const lines = Buffer.from(hdrs, 'base64').toString('utf8').split('\r\n').slice(1)
  const headers = lines.flatMap((line): [string, string][] => {
    const colon = line.indexOf(':')
    return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()]]
  })
  const bytes = Buffer.from(data, 'base64')
  return { subject, sequence: seq, time: Date.parse(time), data: bytes, headers: new Map(headers) }
}

export function streamInfo(answer: Answer): StreamInfo {
  const state = answer['state'] as {
    readonly messages: number
    readonly bytes: number
    readonly first_seq: number
    readonly last_seq: number
  }
  const cluster = answer['cluster'] as { readonly leader?: string; readonly replicas?: readonly Follower[] } | undefined
  const first = state.messages === 0 ? state.last_seq + 1 : state.first_seq
  return {
    first,
    last: state.last_seq,
    config: answer['config'] as StreamConfig,
    leader: cluster?.leader || null,
    followers: cluster?.replicas ?? [],
    bytes: state.bytes,
    created: Date.parse(String(answer['created'])),
  }
}
