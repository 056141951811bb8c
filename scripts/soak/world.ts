import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeToken, startServer, type Machine, type Place, type Running, type Server } from '../harness.ts'
import { openProxy, type Proxy, type ProxyState } from './proxy.ts'

const BUCKET = 'soak'
const TAIL_LINES = 25
/** Milliseconds between looks at what an agent told: as exact as its log's times are. */
const LOOK_EVERY = 10

/** A server and agents, each a process that can be killed at any moment and is started again. */
export interface World {
  readonly url: string
  readonly bucket: string
  readonly token: string
  readonly agents: readonly AgentProcess[]
  /** kill -9, and a new one after so many milliseconds. */
  killServer(after: number): Promise<void>
  /** Ends that nobody ordered, since last asked: each with the last lines that were said. */
  surprises(): readonly string[]
  /** Ends the agents in an orderly way; what went wrong with it, as lines. */
  stop(): Promise<readonly string[]>
}
export interface AgentProcess {
  readonly name: string
  readonly root: string
  readonly machine: Machine
  kill(after: number): Promise<void>
  network(state: ProxyState): void
  /** Events of all its lives, counted by type. */
  counts(): ReadonlyMap<string, number>
  /** All that its lives told, each line with the milliseconds since the soak began. */
  log(): readonly string[]
}

export async function openWorld(place: Place, names: readonly string[], elapsed: () => number): Promise<World> {
  const host = place.machine('server')
  let server = await startServer(host)
  const tokenFile = await makeToken(host, server, BUCKET)
  const surprises: string[] = []
  let stopping = false

  const watchServer = async ({ process }: Server): Promise<void> => {
    const end = await process.ended
    if (stopping || end.signal === 'SIGKILL') return
    surprises.push(`the server ended with ${end.code ?? end.signal}\n${tail(end.err + end.out)}`)
  }
  void watchServer(server)
  const agents = await Promise.all(
    names.map((name) =>
      openAgent({
        place,
        name,
        tokenFile,
        elapsed,
        port: Number(new URL(server.url).port),
        onSurprise: (text) => surprises.push(text),
      }),
    ),
  )
  return {
    url: server.url,
    bucket: BUCKET,
    token: readFileSync(tokenFile, 'utf8').trim(),
    agents,
    killServer: async (after) => {
      await server.process.stop('SIGKILL')
      await sleep(after)
      server = await server.restart()
      void watchServer(server)
    },
    surprises: () => surprises.splice(0),
    stop: async () => {
      stopping = true
      const ends = await Promise.all(agents.map((agent) => agent.end()))
      await Promise.all(agents.map((agent) => agent.proxy.close()))
      await server.process.stop()
      return [...surprises.splice(0), ...ends.flat()]
    },
  }
}

interface OwnedAgent extends AgentProcess {
  readonly proxy: Proxy
  end(): Promise<readonly string[]>
}

async function openAgent(given: {
  place: Place
  name: string
  tokenFile: string
  port: number
  elapsed: () => number
  onSurprise: (text: string) => void
}): Promise<OwnedAgent> {
  const { name } = given
  const machine = given.place.machine(name, { BLOBS_TOKEN_FILE: given.tokenFile })
  const proxy = await openProxy({ host: '127.0.0.1', port: given.port })
  const root = join(machine.home, 'folder')
  mkdirSync(root)
  const counts = new Map<string, number>()
  const log: string[] = []
  let stopping = false
  let lives = 0
  const clock = (): string => given.elapsed().toFixed(0).padStart(7)

  const start = (): Running => {
    log.push(`${clock()} life ${++lives} begins`)
    const url = `http://127.0.0.1:${proxy.port}/${BUCKET}`
    const running = machine.start(['sync', root, url, '--watch', '--json', '--max-delete', '100%'])
    void follow(running, lives)
    return running
  }
  const follow = async (running: Running, life: number): Promise<void> => {
    let seen = 0
    const look = (): void => {
      for (const event of running.events.slice(seen)) log.push(`${clock()} ${JSON.stringify(event)}`)
      seen = running.events.length
    }
    const looking = setInterval(look, LOOK_EVERY)
    const end = await running.ended
    clearInterval(looking)
    look()
    for (const { type } of running.events) counts.set(String(type), (counts.get(String(type)) ?? 0) + 1)
    log.push(`${clock()} life ${life} ended with ${end.code ?? end.signal} ${end.err}`)
    if (stopping || end.signal === 'SIGKILL') return
    given.onSurprise(`the agent ${name} ended with ${end.code ?? end.signal} by itself\n${tail(end.err + end.out)}`)
    await sleep(500)
    if (!stopping) running_ = start()
  }
  let running_ = start()
  // The first link needs the server; from then on an agent waits for it.
  await running_.event('the first rest', ({ type, state }) => type === 'state' && state === 'idle')
  return {
    name,
    root,
    machine,
    proxy,
    counts: () => {
      const all = new Map(counts)
      for (const { type } of running_.events) all.set(String(type), (all.get(String(type)) ?? 0) + 1)
      return all
    },
    log: () => log,
    network: (state) => proxy.set(state),
    kill: async (after) => {
      await running_.stop('SIGKILL')
      await sleep(after)
      if (!stopping) running_ = start()
    },
    end: async () => {
      stopping = true
      const end = await running_.stop()
      return end.code === 0
        ? []
        : [`the agent ${name}, asked to stop, ended with ${end.code ?? end.signal}\n${tail(end.err)}`]
    },
  }
}

function tail(text: string): string {
  return text.trimEnd().split('\n').slice(-TAIL_LINES).join('\n')
}
