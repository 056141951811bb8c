import type { JsMsg } from '@nats-io/jetstream'
import type { StoredMessage } from '../../../src/backends/nats/answers.ts'
import { natsContent } from '../../../src/backends/nats/content.ts'
import { API, JetStreamError } from '../../../src/backends/nats/failures.ts'
import type { JetStream } from '../../../src/backends/nats/jetstream.ts'
import { namesOf } from '../../../src/backends/nats/names.ts'
import { openMemory } from '../../../src/backends/memory/memory.ts'
import { systemIds as ids } from '../../../src/platform/system.ts'
import { openObjectBackend } from '../../../src/store/objects/backend.ts'
import { MOVED_WITHIN, type Objects } from '../../../src/store/objects/objects.ts'
import type { Backend, BucketPorts } from '../../../src/store/ports.ts'
import type { HandClock } from './interleaved.ts'

/** Resolves when it is the caller's turn. */
export type Turn = (name: string) => Promise<unknown>

/** A place in memory that several machines use; each call of each of them is a turn of its own. */
export interface SharedPlace {
  /** The place as one machine has it. */
  open(turn: Turn): Backend
  /** Chunks that take room there. */
  chunks(): number
}

const PROMISES = {
  name: 'shared',
  durability: 'process',
  maxEntryBytes: 1024 * 1024,
  live: 'polled',
  cannot: {},
} as const

/** Named objects, as in S3: what is moved is copied first, then removed, and a removal that comes late is refused. */
export function objectsPlace(clock: HandClock): SharedPlace {
  const objects = new Map<string, { readonly bytes: Uint8Array; readonly modified: number }>()
  const write = (name: string, bytes: Uint8Array): void =>
    void objects.set(name, { bytes: new Uint8Array(bytes), modified: clock.now() })
  const openObjects = (turn: Turn): Objects => ({
    create: async (name, bytes) => {
      await turn(`create ${name}`)
      if (objects.has(name)) return false
      write(name, bytes)
      return true
    },
    createAll: async (all) => {
      for (const { name, bytes } of all) {
        await turn(`put ${name}`)
        write(name, bytes)
      }
    },
    read: async (name) => {
      await turn(`read ${name}`)
      return objects.get(name)?.bytes.slice() ?? null
    },
    missing: async (names) => {
      await turn('missing')
      return names.filter((name) => !objects.has(name))
    },
    list: async function* ({ prefix, after = '' }) {
      await turn(`list ${prefix}`)
      const found = [...objects].filter(([name]) => name.startsWith(prefix) && name > after)
      yield found
        .map(([name, { bytes, modified }]) => ({ name, size: bytes.length, modified }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    move: async (moves) => {
      const started = clock.now()
      const copied: number[] = []
      for (const [index, { from, to }] of moves.entries()) {
        await turn(`copy ${from}`)
        const found = objects.get(from)
        if (found !== undefined) write(to, found.bytes)
        if (found !== undefined) copied.push(index)
      }
      await turn('remove what was copied')
      if (clock.now() - started > MOVED_WITHIN) return []
      for (const index of copied) objects.delete(moves[index]?.from ?? '')
      return copied
    },
    now: async () => {
      await turn('now')
      return clock.now()
    },
    remove: async (names) => {
      for (const name of names) {
        await turn(`remove ${name}`)
        objects.delete(name)
      }
    },
    close: async () => undefined,
  })
  return {
    open: (turn) =>
      openObjectBackend({
        objects: openObjects(turn),
        promises: PROMISES,
        viewDirectory: null,
        clock,
        ids,
        parallel: 4,
        maxFrameBytes: 8 * 1024 * 1024,
        looks: [5, 50],
      }),
    chunks: () => [...objects.keys()].filter((name) => /\/(content|aside)\//.test(name)).length,
  }
}

interface Message extends StoredMessage {
  readonly sequence: number
}

/** A stream that keeps the last message of each subject, and says no to what expects another one there. */
function openStream(clock: HandClock): { readonly messages: Map<string, Message>; open(turn: Turn): JetStream } {
  const messages = new Map<string, Message>()
  let sequence = 0
  const matching = (filter: string): readonly Message[] => {
    const pattern = new RegExp(`^${filter.replaceAll('.', '\\.').replaceAll('*', '[^.]+')}$`)
    const found = [...messages.values()].filter(({ subject }) => pattern.test(subject))
    return found.sort((a, b) => a.sequence - b.sequence)
  }
  const open = (turn: Turn): Partial<JetStream> => ({
    publish: async ({ subject, data, headers = {} }) => {
      await turn(`publish ${subject}`)
      const last = messages.get(subject)?.sequence ?? 0
      const expected = headers['Nats-Expected-Last-Subject-Sequence']
      if (expected !== undefined && Number(expected) !== last) {
        const description = `wrong last sequence: ${last}`
        throw new JetStreamError('stream', { code: 400, err_code: API.wrongLastSequence, description })
      }
      sequence += 1
      const fields = new Map([...Object.entries(headers), ['Nats-Msg-Size', String(data.length)]])
      messages.set(subject, {
        subject,
        sequence,
        time: clock.now(),
        data: Uint8Array.from(Buffer.from(data)),
        headers: fields,
      })
      return { sequence, duplicate: false }
    },
    lastOf: async (_, subject) => {
      await turn(`last of ${subject}`)
      return messages.get(subject)?.sequence ?? 0
    },
    get: async (stream, which) => open(turn).getLatest?.(stream, which) ?? null,
    getLatest: async (_, which) => {
      await turn('get')
      if ('next_by_subj' in which) return matching(which.next_by_subj)[0] ?? null
      return 'last_by_subj' in which ? (messages.get(which.last_by_subj) ?? null) : null
    },
    deleteMessage: async (_, gone) => {
      await turn(`delete ${gone}`)
      for (const [subject, message] of messages) if (message.sequence === gone) messages.delete(subject)
    },
    scan: async function* (_, filter) {
      await turn(`scan ${filter}`)
      for (const { subject, sequence: seq, time, headers } of matching(filter)) {
        const fields = { get: (name: string) => headers.get(name) ?? '' }
        yield { subject, seq, headers: fields, info: { timestampNanos: time * 1e6 } } as unknown as JsMsg
      }
    },
  })
  return { messages, open: (turn) => open(turn) as JetStream }
}

/** Chunks as in a stream of NATS, most of them in parts; the log is another. */
export function streamPlace(clock: HandClock): SharedPlace {
  const stream = openStream(clock)
  const logs = openMemory(clock)
  const names = namesOf('place').of({ id: '0'.repeat(32), bucket: 'one', replicas: 1 })
  return {
    open: (turn) => ({
      ...logs,
      open: async (name): Promise<BucketPorts | null> => {
        const ports = await logs.open(name)
        if (ports === null) return null
        const { log } = ports
        const append: typeof log.append = async (entries) => {
          await turn('append')
          return log.append(entries)
        }
        const js = stream.open(turn)
        const content = natsContent({ js, names, maxBytes: 40_000, present: async () => undefined, clock })
        return { log: { ...log, append }, content }
      },
    }),
    chunks: () => [...stream.messages.keys()].filter((subject) => !subject.endsWith('.now')).length,
  }
}
