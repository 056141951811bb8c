import type { IncomingMessage } from 'node:http'
import type { Registry, Sources } from './registry.ts'

/** One request that is over. */
export interface RequestFacts {
  readonly request: IncomingMessage
  /** The path with the names of its parts; null for what is nothing here. */
  readonly route: string | null
  /** 0 when there was no answer. */
  readonly status: number
  readonly seconds: number
}
export interface CommitFacts {
  readonly made: number
  readonly conflicts: number
  readonly failed: number
  readonly seconds: number
}
export interface EventFacts {
  readonly name: string
  readonly failed: boolean
  readonly seconds: number
}
type FeedKind = 'changes' | 'socket'

/** Counts what a server does. */
export interface Meter {
  request(facts: RequestFacts): void
  commit(facts: CommitFacts): void
  /** An event of a live client. */
  event(facts: EventFacts): void
  /** A connection that was refused because there are too many. */
  refused(): void
  /** Something goes on until the returned function is called; a request that carries it is not counted by how long it takes. */
  open(kind: FeedKind, request?: IncomingMessage): () => void
  /** Everything as Prometheus reads it, and its content type. */
  read(): Promise<{ readonly text: string; readonly type: string }>
}

/** Opens a meter. What it counts with is loaded when there is something to count. */
export function openMeter(sources: Sources): Meter {
  const lasting = new WeakSet<IncomingMessage>()
  const feeds: Record<FeedKind, number> = { changes: 0, socket: 0 }
  let loading: Promise<Registry> | null = null
  const registry = (): Promise<Registry> =>
    (loading ??= import('./registry.ts').then(({ openRegistry }) => openRegistry({ ...sources, feeds: () => feeds })))
  const count = async (act: (open: Registry) => void): Promise<void> => act(await registry())
  return {
    request: (facts) => {
      if (!lasting.has(facts.request) && facts.route !== '/socket.io/') void count((open) => open.request(facts))
    },
    commit: (facts) => void count((open) => open.commit(facts)),
    event: (facts) => void count((open) => open.event(facts)),
    refused: () => void count((open) => open.refused()),
    open: (kind, request) => {
      if (request) lasting.add(request)
      feeds[kind] += 1
      return () => void (feeds[kind] -= 1)
    },
    read: async () => (await registry()).read(),
  }
}
