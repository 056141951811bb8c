import { jetstream, type ConsumerMessages, type JetStreamClient, type JsMsg } from '@nats-io/jetstream'
import type { Msg } from '@nats-io/transport-node'
import type { Clock, Ids } from '../../platform/ports.ts'
import { BlobsError, isBlobsError } from '../../store/contract/errors.ts'
import {
  decodeMessage,
  isWhole,
  streamInfo,
  type Answer,
  type EncodedMessage,
  type StoredMessage,
  type StreamConfig,
  type StreamInfo,
} from './answers.ts'
import { API, apiCodeOf, JetStreamError } from './failures.ts'
import type { NatsOptions } from './options.ts'
import { isNobody } from './requests.ts'
import type { Wire } from './wire.ts'

/** Milliseconds for which is tried again what may pass: a change of leaders takes some seconds. */
const PERSISTENCE = 25_000
const FIRST_PAUSE = 25
const LONGEST_PAUSE = 1000
/** Milliseconds for a consumer to be made: a cluster may choose a server for it that is not there, and another one the next time. */
const SCAN_START = 3000
/** No sequence is ever that high: what expects it is refused, and told the one there is. */
const NEVER = String(Number.MAX_SAFE_INTEGER)

export interface Published {
  readonly sequence: number
  /** An earlier try of the same message was taken, at this sequence. */
  readonly duplicate: boolean
}
interface Publication {
  readonly stream: string
  readonly subject: string
  readonly data: Uint8Array | string
  readonly headers?: Readonly<Record<string, string>>
  /** Names the message among all: then it is taken once, however often it is tried within two minutes. */
  readonly once?: string
}

/** What is used of JetStream. What may pass is tried again for a while; then it is `Unavailable`. Each asks the leader of the stream, unless said otherwise. */
export interface JetStream {
  /** Resolves when it is whole, whoever made it. Throws `Refused` with API.nameInUse if there is another stream of that name. */
  createStream(config: StreamConfig): Promise<void>
  /** Null if there is none, or it is being made. */
  stream(name: string): Promise<StreamInfo | null>
  /** Names of the streams that take messages of a subject with wildcards. */
  streamNames(subject: string): Promise<readonly string[]>
  /** False if there is none. */
  deleteStream(name: string): Promise<boolean>
  /** Stored by most replicas when it resolves. Throws with API.wrongLastSequence when what a header expects is not so. */
  publish(publication: Publication, present?: () => Promise<void>): Promise<Published>
  /** Sequence of the last message of a subject, 0 for none; costs no bytes of the message. */
  lastOf(stream: string, subject: string, present?: () => Promise<void>): Promise<number>
  /** A message by its sequence or the last of a subject, from any replica; if that has none, from the leader. */
  get(stream: string, which: Which, present?: () => Promise<void>): Promise<StoredMessage | null>
  /** The same, from the leader. */
  getLatest(stream: string, which: Which): Promise<StoredMessage | null>
  /** One that is not there is passed over. */
  deleteMessage(stream: string, sequence: number): Promise<void>
  /** Removes the messages before `sequence`, or those of a subject. */
  purge(stream: string, what: { readonly seq: number } | { readonly filter: string }): Promise<void>
  /** The subjects that have messages, of those that a filter with wildcards lets pass, in batches. */
  subjects(stream: string, filter: string): AsyncGenerator<readonly string[]>
  /** The headers of every message of a subject with wildcards that is there, in order. */
  scan(stream: string, subject: string): AsyncGenerator<JsMsg>
  /** Throws `NotSupported` where there is no JetStream. */
  check(): Promise<void>
  /** Bytes that the account has on disk, all replicas together, and may have; null for as many as there is room for. */
  storage(): Promise<{ readonly used: number; readonly limit: number | null }>
}
/** A sequence; the last of a subject; or the first of a subject from a sequence on. */
type Which =
  | { readonly seq: number }
  | { readonly last_by_subj: string }
  | { readonly seq: number; readonly next_by_subj: string }
interface Parts {
  readonly wire: Wire
  readonly options: NatsOptions
  readonly clock: Clock
  readonly ids: Ids
  readonly client: JetStreamClient
}

export function openJetStream(
  wire: Wire,
  { options, clock, ids }: { readonly options: NatsOptions; readonly clock: Clock; readonly ids: Ids },
): JetStream {
  const domain = options.domain === null ? {} : { domain: options.domain }
  const parts: Parts = {
    wire,
    options,
    clock,
    ids,
    client: jetstream(wire.connection, { ...domain, timeout: SCAN_START }),
  }
  const call = (name: string, body: object): Promise<Answer> => insist(parts, () => callOnce(parts, name, body))
  const whole = new Set<string>()
  const callOf = (stream: string, name: string, body: object): Promise<Answer> =>
    insist(parts, async () => {
      try {
        if (!whole.has(stream)) await checkWhole(parts, stream)
        whole.add(stream)
        return await callOnce(parts, `STREAM.${name}.${stream}`, body)
      } catch (error) {
        if (apiCodeOf(error) === API.streamNotFound) whole.delete(stream)
        throw error
      }
    })
  const publish: JetStream['publish'] = (publication, present) =>
    insist(parts, () => publishOnce(parts, publication), present)
  const getLatest: JetStream['getLatest'] = async (stream, which) => {
    const answer = await unless(API.noMessage, () => callOf(stream, 'MSG.GET', which))
    return answer === null ? null : decodeMessage(answer['message'] as EncodedMessage)
  }
  return {
    createStream: (config) => insist(parts, () => createOnce(parts, config)),
    stream: async (name) => {
      const answer = await unless(API.streamNotFound, () => insist(parts, () => askInfo(parts, name)))
      return answer === null || !isWhole(answer) ? null : streamInfo(answer)
    },
    streamNames: async (subject) => {
      const all: string[] = []
      for (;;) {
        const answer = await call('STREAM.NAMES', { subject, offset: all.length })
        const found = (answer['streams'] ?? []) as readonly string[]
        all.push(...found)
        if (found.length === 0 || all.length >= Number(answer['total'])) return all
      }
    },
    deleteStream: async (name) => (await unless(API.streamNotFound, () => call(`STREAM.DELETE.${name}`, {}))) !== null,
    publish,
    lastOf: async (stream, subject, present) => {
      const headers = { 'Nats-Expected-Last-Subject-Sequence': NEVER }
      try {
        await publish({ stream, subject, data: '', headers }, present)
      } catch (error) {
        const told = /wrong last sequence: (\d+)/.exec(error instanceof Error ? error.message : '')
        if (apiCodeOf(error) === API.wrongLastSequence && told) return Number(told[1])
        if (apiCodeOf(error) !== API.wrongLastSequenceUntold) throw error
      }
      return (await getLatest(stream, { last_by_subj: subject }))?.sequence ?? 0
    },
    get: async (stream, which, present) =>
      (await insist(parts, () => getDirect(parts, stream, which), present)) ?? getLatest(stream, which),
    getLatest,
    deleteMessage: (stream, seq) =>
      callOf(stream, 'MSG.DELETE', { seq, no_erase: true }).then(() => undefined, unlessGone),
    purge: async (stream, what) => void (await callOf(stream, 'PURGE', what)),
    subjects: async function* (stream, subjects_filter) {
      for (let offset = 0; ;) {
        const answer = await callOf(stream, 'INFO', { subjects_filter, offset })
        const { subjects = {} } = answer['state'] as { readonly subjects?: Readonly<Record<string, number>> }
        const found = Object.keys(subjects)
        if (found.length > 0) yield found
        offset += found.length
        if (found.length === 0 || offset >= Number(answer['total'] ?? 0)) return
      }
    },
    scan: (stream, subject) => scan(parts, stream, subject),
    check: () => checkJetStream(parts),
    storage: async () => storageIn(await call('INFO', {})),
  }
}

function storageIn({ storage = 0, limits }: Answer): { readonly used: number; readonly limit: number | null } {
  const most = Number((limits as { readonly max_storage?: number } | undefined)?.max_storage ?? -1)
  return { used: Number(storage), limit: most > 0 ? most : null }
}

/** Tries again what is `Unavailable`, as long as `present` does not throw. */
async function insist<T>(
  { clock, ids }: Pick<Parts, 'clock' | 'ids'>,
  act: () => Promise<T>,
  present?: () => Promise<void>,
): Promise<T> {
  const started = clock.elapsed()
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
    try {
      return await act()
    } catch (error) {
      const late = clock.elapsed() - started > PERSISTENCE
      if (!isBlobsError(error, 'Unavailable') || late) throw error
      // Of a stream that is gone nobody answers, as of one that has no leader now.
      if (isNobody(error)) await present?.()
    }
    const chance = Number.parseInt(ids.next().slice(0, 4), 16) / 0x1_00_00
    await clock.sleep(pause * (0.5 + chance))
  }
}

async function unless<T>(apiCode: number, act: () => Promise<T>): Promise<T | null> {
  try {
    return await act()
  } catch (error) {
    if (apiCodeOf(error) === apiCode) return null
    throw error
  }
}

/** Of a message that is to be deleted: there is none, which servers say in three ways. */
function unlessGone(error: unknown): void {
  const code = apiCodeOf(error)
  if (code === API.noMessage || code === API.noSequence) return
  if (code === API.notDeleted && error instanceof Error && error.message.includes('no message found')) return
  throw error
}

function prefix({ options }: Parts): string {
  return options.domain === null ? '$JS.API' : `$JS.${options.domain}.API`
}

async function callOnce(parts: Parts, name: string, body: object): Promise<Answer> {
  const reply = await parts.wire.ask(`${prefix(parts)}.${name}`, JSON.stringify(body))
  return unrefused(parts, reply)
}

async function createOnce(parts: Parts, config: StreamConfig): Promise<void> {
  try {
    refuseUnfinished(config.name, await callOnce(parts, `STREAM.CREATE.${config.name}`, config))
  } catch (error) {
    if (apiCodeOf(error) !== API.subjectsOverlap) throw error
    if ((await unless(API.streamNotFound, () => askInfo(parts, config.name))) === null) throw error
    throw new BlobsError('Unavailable', `${config.name} is being made by another`, { cause: error })
  }
}

function askInfo(parts: Parts, stream: string): Promise<Answer> {
  return callOnce(parts, `STREAM.INFO.${stream}`, {})
}

/** What all but asking of a stream must wait for: nats-server 2.9.10 crashes when a stream that another client is making is read. */
async function checkWhole(parts: Parts, stream: string): Promise<void> {
  refuseUnfinished(stream, await askInfo(parts, stream))
}

function refuseUnfinished(stream: string, answer: Answer): void {
  if (isWhole(answer)) return
  throw new BlobsError('Unavailable', `${stream} is being made`, { hint: 'it is tried again' })
}

function unrefused({ options }: Parts, reply: Msg): Answer {
  let answer: Answer
  try {
    answer = reply.json<Answer>()
  } catch (cause) {
    throw new BlobsError('Unavailable', `${options.text} gave no answer that is understood`, { cause })
  }
  if (answer.error !== undefined) throw new JetStreamError(options.text, answer.error)
  return answer
}

async function publishOnce(parts: Parts, { stream, subject, data, headers, once }: Publication): Promise<Published> {
  const fields = { 'Nats-Expected-Stream': stream, ...headers, ...(once === undefined ? {} : { 'Nats-Msg-Id': once }) }
  const answer = unrefused(parts, await parts.wire.ask(subject, data, fields))
  const [sequence, duplicate] = [Number(answer['seq']), answer['duplicate'] === true]
  // An earlier try is on its way still.
  if (sequence === 0) throw new BlobsError('Unavailable', `${parts.options.text} has not stored a message yet`)
  return { sequence, duplicate }
}

async function getDirect(parts: Parts, stream: string, which: Which): Promise<StoredMessage | null> {
  const reply = await parts.wire.ask(`${prefix(parts)}.DIRECT.GET.${stream}`, JSON.stringify(which))
  const { headers } = reply
  if (headers === undefined || headers.code >= 400) {
    if (headers === undefined || headers.code === 404) return null
    throw new BlobsError('Unavailable', `${parts.options.text}: ${headers.code} ${headers.description}`)
  }
  const fields = new Map(headers.keys().map((name) => [name, headers.get(name)]))
  return {
    subject: headers.get('Nats-Subject'),
    sequence: Number(headers.get('Nats-Sequence')),
    time: Date.parse(headers.get('Nats-Time-Stamp')),
    data: Uint8Array.from(reply.data),
    headers: fields,
  }
}

async function* scan(parts: Parts, stream: string, subject: string): AsyncGenerator<JsMsg> {
  const consumer = await insist(parts, async () => {
    try {
      return await parts.client.consumers.get(stream, { filter_subjects: subject, headers_only: true })
    } catch (cause) {
      throw new BlobsError('Unavailable', `${stream} cannot be read now`, { cause, hint: 'it is tried again' })
    }
  })
  if ((await consumer.info(true)).num_pending === 0) return
  const messages: ConsumerMessages = await consumer.consume({
    max_messages: 1000,
    idle_heartbeat: 5000,
    abort_on_missing_resource: true,
  })
  let complete = false
  try {
    for await (const message of messages) {
      complete = message.info.pending === 0
      yield message
      if (complete) return
    }
  } finally {
    await messages.close()
  }
  if (!complete) throw new BlobsError('Unavailable', `${stream} was cut short while it was read`)
}

async function checkJetStream(parts: Parts): Promise<void> {
  const { wire, options } = parts
  const account = (): Promise<Answer> => callOnce(parts, 'INFO', {})
  try {
    // One server alone has no other that could answer later.
    await (wire.cluster === null ? account() : insist(parts, account))
  } catch (error) {
    if (!isBlobsError(error, 'Unavailable') || (wire.hasJetStream && wire.cluster !== null)) throw error
    throw new BlobsError('NotSupported', `${options.text} has no JetStream for this account`, {
      cause: error,
      hint: 'start nats-server with -js, or let the account use JetStream',
    })
  }
}
