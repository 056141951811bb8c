/** Programs of the machine that are not ours: run without blocking, since servers and proxies of the same run live in this process. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ProgramOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves when it ended well; throws with what it said on stderr otherwise. */
export function system(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-4000)))
    child.on('error', reject)
    child.on('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code ?? signal}\n${said}`))
    })
  })
}

/** Starts a server; `stop` resolves when it has ended. */
export function startProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): { readonly child: ChildProcess; stop(): Promise<void> } {
  const child = spawn(program, args, { cwd: options.cwd, env: { ...process.env, ...options.env }, stdio: 'ignore' })
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()))
  child.on('error', () => undefined)
  const kill = (): void => void child.kill('SIGKILL')
  process.once('exit', kill)
  return {
    child,
    stop: async () => {
      process.off('exit', kill)
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** How each peer is asked for its version. */
const VERSION: Readonly<Record<string, readonly string[]>> = {
  cp: ['--version'],
  rsync: ['--version'],
  rclone: ['version'],
  syncthing: ['--version'],
  unison: ['-version'],
  restic: ['version'],
  aws: ['--version'],
  radosgw: ['--version'],
}
export const PEERS = Object.keys(VERSION)

/** The first line that a program says of itself, or null when it is not installed. */
export function versionOf(program: string): string | null {
  const { status, stdout } = spawnSync(program, VERSION[program] ?? ['--version'], { encoding: 'utf8' })
  return status === 0 ? (stdout.split('\n')[0] ?? '').trim() : null
}

/** Asks until it holds; throws after `milliseconds`. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  { every = 20, milliseconds = 120_000 } = {},
): Promise<void> {
  const started = performance.now()
  while (!(await holds())) {
    if (performance.now() - started > milliseconds) throw new Error(`${what}: not within ${milliseconds} ms`)
    await sleep(every)
  }
}
