/** Runs the built program as a person would, each machine with a home of its own: for the demo, the benchmarks and the tests that need real processes. */
import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

export const ROOT = join(import.meta.dirname, '..')
export const PROGRAM = join(ROOT, 'bin', 'run.js')

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}
/** A process under way. Lines of stdout that are JSON objects are collected as `events`. */
export interface Running {
  readonly pid: number
  readonly ended: Promise<Finished>
  readonly events: readonly Event[]
  /** Resolves with the first event, past or to come, that `wanted` accepts; rejects when the process ends or the time is over. */
  event(what: string, wanted: (event: Event) => boolean, milliseconds?: number): Promise<Event>
  /** Peak resident memory so far, in bytes; 0 where the system does not tell. */
  peakMemory(): number
  kill(signal: NodeJS.Signals): void
  stop(signal?: NodeJS.Signals): Promise<Finished>
}
export type Event = Readonly<Record<string, unknown>>

/** A pretended machine: a home, and the environment that its processes see. */
export interface Machine {
  readonly home: string
  readonly env: Record<string, string>
  start(args: readonly string[], options?: { cwd?: string; input?: Uint8Array }): Running
  run(args: readonly string[], options?: { cwd?: string; input?: Uint8Array }): Promise<Finished>
  /** Runs and throws, with what was said, unless the exit code is 0. */
  must(args: readonly string[], options?: { cwd?: string; input?: Uint8Array }): Promise<Finished>
}
export interface Place {
  readonly folder: string
  /** `via` is a command that the program is run by, as `ip netns exec NAME`. */
  machine(name: string, env?: Record<string, string>, via?: readonly string[]): Machine
  /** Ends every process that was started here and removes the folder. */
  dispose(): Promise<void>
}

/** An empty temporary place. */
export function openPlace(prefix: string): Place {
  const folder = mkdtempSync(join(tmpdir(), prefix))
  const running = new Set<Running>()
  return {
    folder,
    machine: (name, env = {}, via = []) => {
      const home = join(folder, name)
      const state = join(home, '.local', 'state', 'blobs')
      mkdirSync(state, { recursive: true, mode: 0o700 })
      writeFileSync(join(state, 'device'), JSON.stringify({ id: randomBytes(16).toString('hex'), name }), {
        mode: 0o600,
      })
      return openMachine(
        home,
        { PATH: process.env['PATH'] ?? '', HOME: home, XDG_RUNTIME_DIR: home, TMPDIR: home, NO_COLOR: '1', ...env },
        running,
        via,
      )
    },
    dispose: async () => {
      await Promise.all([...running].map((one) => one.stop('SIGKILL')))
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function openMachine(
  home: string,
  env: Record<string, string>,
  running: Set<Running>,
  via: readonly string[],
): Machine {
  const start: Machine['start'] = (args, options = {}) => {
    const [command = process.execPath, ...rest] = [...via, process.execPath, PROGRAM, ...args]
    const child = spawn(command, rest, { cwd: options.cwd ?? home, env, stdio: 'pipe' })
    child.stdin.on('error', () => {})
    child.stdin.end(options.input)
    const process_ = follow(child)
    running.add(process_)
    void process_.ended.then(() => running.delete(process_))
    return process_
  }
  const run: Machine['run'] = (args, options) => start(args, options).ended
  const must: Machine['must'] = async (args, options) => {
    const finished = await run(args, options)
    if (finished.code === 0) return finished
    throw new Error(
      `blobs ${args.join(' ')} ended with ${finished.code ?? finished.signal}\n${finished.err}${finished.out}`,
    )
  }
  return { home, env, start, run, must }
}

function follow(child: ChildProcess): Running {
  const events: Event[] = []
  const lookers = new Set<() => void>()
  let out = ''
  let err = ''
  const { stdout, stderr } = child
  if (!stdout || !stderr || child.pid === undefined) throw new Error('the program could not be started')
  stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
  createInterface(stdout).on('line', (line) => {
    out += `${line}\n`
    const event = eventOf(line)
    if (event === null) return
    events.push(event)
    for (const look of lookers) look()
  })
  const ended = new Promise<Finished>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal, out, err }))
  })
  const { pid } = child
  let peak = 0
  const event: Running['event'] = (what, wanted, milliseconds = 30_000) =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer)
        lookers.delete(look)
        act()
      }
      const look = (): void => {
        const found = events.find(wanted)
        if (found) settle(() => resolve(found))
      }
      const timer = setTimeout(
        () => settle(() => reject(new Error(`no ${what} within ${milliseconds} ms\n${err}${out}`))),
        milliseconds,
      )
      lookers.add(look)
      look()
      void ended.then(() => settle(() => reject(new Error(`the process ended before ${what}\n${err}${out}`))))
    })
  return {
    pid,
    ended,
    events,
    event,
    peakMemory: () => (peak = Math.max(peak, readPeak(pid))),
    kill: (signal) => void child.kill(signal),
    stop: async (signal = 'SIGTERM') => {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
      return await ended
    },
  }
}

function readPeak(pid: number): number {
  try {
    const [, kib = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
    return Number(kib) * 1024
  } catch {
    return 0
  }
}

export interface Server {
  readonly url: string
  readonly data: string
  readonly process: Running
  /** Starts it again on the same port and data, after it ended. */
  restart(): Promise<Server>
}

/** `blobs serve` on a free port, or the given one. */
export async function startServer(machine: Machine, options: { port?: number; data?: string } = {}): Promise<Server> {
  const data = options.data ?? join(machine.home, 'server-data')
  const args = ['serve', '--json', '--data', data, '--port', String(options.port ?? 0)]
  const process_ = machine.start(args)
  const { url } = await process_.event('a listening server', (event) => event['type'] === 'listening')
  if (typeof url !== 'string') throw new Error('the server did not say where it listens')
  return {
    url,
    data,
    process: process_,
    restart: () => startServer(machine, { port: Number(new URL(url).port), data }),
  }
}

/** A token for `bucket` in a file, as `BLOBS_TOKEN_FILE` wants it. */
export async function makeToken(machine: Machine, server: Server, bucket: string): Promise<string> {
  const { out } = await machine.must([
    'token',
    'create',
    bucket,
    ...(bucket === '*' ? ['--can', 'read,write,delete,admin'] : []),
    '--data',
    server.data,
    '--name',
    'harness',
  ])
  const file = join(machine.home, `${bucket === '*' ? 'all' : bucket}.token`)
  writeFileSync(file, out, { mode: 0o600 })
  return file
}

/** Null for what is no JSON object, such as a line that the process's end cut. */
function eventOf(line: string): Event | null {
  if (!line.startsWith('{"')) return null
  try {
    return JSON.parse(line) as Event
  } catch {
    return null
  }
}
