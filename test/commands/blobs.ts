import { spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const PROGRAM = join(import.meta.dirname, '..', '..', 'bin', 'run.js')

export interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly bytes: Buffer
  /** The documents on stdout, one a line. */
  lines(): Record<string, unknown>[]
  json(): Record<string, unknown>
}
interface RunOptions {
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** A person's machine: a home with nothing in it, on which the built program runs. The device is called `laptop`. */
export interface Machine {
  readonly home: string
  readonly data: string
  path(...parts: string[]): string
  write(name: string, content: string | Uint8Array): string
  blobs(args: readonly string[], options?: RunOptions): Promise<Result>
  /** A line of shell in which `blobs` is the program. */
  shell(line: string, options?: RunOptions): Promise<Result>
  /** `blobs serve` on a free port, until the machine is disposed of or `stop`. */
  serve(...args: string[]): Promise<Server>
  dispose(): Promise<void>
}
export interface Server {
  readonly url: string
  readonly data: string
  readonly pid: number
  stop(signal?: NodeJS.Signals): Promise<Result>
}

export function openMachine(): Machine {
  const home = mkdtempSync(join(tmpdir(), 'blobs-commands-'))
  const at = (...parts: string[]): string => join(home, ...parts)
  for (const folder of ['bin', 'work', 'state/blobs']) mkdirSync(at(folder), { recursive: true, mode: 0o700 })
  writeFileSync(at('state', 'blobs', 'device'), JSON.stringify({ id: '0'.repeat(32), name: 'laptop' }))
  writeFileSync(at('bin', 'blobs'), `#!/bin/sh\nexec '${process.execPath}' '${PROGRAM}' "$@"\n`)
  chmodSync(at('bin', 'blobs'), 0o755)
  const base = {
    PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    XDG_CONFIG_HOME: at('config'),
    XDG_DATA_HOME: at('share'),
    XDG_STATE_HOME: at('state'),
    XDG_CACHE_HOME: at('cache'),
    TZ: 'UTC',
    LC_ALL: 'C.UTF-8',
  }
  const servers: Server[] = []
  const run = (command: string, args: readonly string[], options: RunOptions = {}): Promise<Result> => {
    const child = spawn(command, args, { cwd: options.cwd ?? at('work'), env: { ...base, ...options.env } })
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input)
    return follow(child)
  }
  return {
    home,
    data: at('share', 'blobs'),
    path: (...parts) => at('work', ...parts),
    write: (name, content) => {
      const path = at('work', name)
      mkdirSync(join(path, '..'), { recursive: true })
      writeFileSync(path, content)
      return path
    },
    blobs: (args, options) => run(process.execPath, [PROGRAM, ...args], options),
    shell: (line, options) => run('sh', ['-c', line], options),
    serve: async (...args) => {
      const data = at('server')
      const child = spawn(process.execPath, [PROGRAM, 'serve', '--json', '--port', '0', '--data', data, ...args], {
        cwd: home,
        env: base,
      })
      const ended = follow(child)
      const first = await Promise.race([
        new Promise<string>((resolve) => child.stdout.once('data', (text: Buffer) => resolve(text.toString()))),
        ended.then((result) => Promise.reject(new Error(result.stderr + result.stdout))),
      ])
      const { url, pid } = JSON.parse(first.split('\n')[0] ?? '') as { url: string; pid: number }
      const server: Server = {
        url,
        pid,
        data,
        stop: (signal = 'SIGTERM') => {
          child.kill(signal)
          return ended
        },
      }
      servers.push(server)
      return server
    },
    dispose: async () => {
      await Promise.all(servers.map((server) => server.stop('SIGKILL')))
      rmSync(home, { recursive: true, force: true })
    },
  }
}

function follow(child: ReturnType<typeof spawn>): Promise<Result> {
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout?.on('data', (part: Buffer) => out.push(part))
  child.stderr?.on('data', (part: Buffer) => err.push(part))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      const bytes = Buffer.concat(out)
      const stdout = bytes.toString('utf8')
      const lines = (): Record<string, unknown>[] =>
        stdout
          .trim()
          .split('\n')
          .filter(Boolean)
          .map((line) => JSON.parse(line))
      resolve({
        code,
        stdout,
        stderr: Buffer.concat(err).toString('utf8'),
        bytes,
        lines,
        json: () => JSON.parse(stdout),
      })
    })
  })
}
