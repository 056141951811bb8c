/** Runs nginx with the files of `deploy/nginx`, on a free port of loopback: for the tests of what is deployed. */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from './free-ports.ts'
import { ROOT } from './harness.ts'

const MINE = join(ROOT, 'deploy', 'nginx')

/** Why it cannot be started here, or null. */
export function lacksNginx(): string | null {
  return spawnSync('nginx', ['-v']).error === undefined ? null : 'there is no nginx'
}

export interface Nginx {
  /** `http://127.0.0.1:port`, or `https://localhost:port` */
  readonly url: string
  /** Of the process whose children do the work. */
  readonly pid: number
  /** What it had to say. */
  errors(): string
  stop(): Promise<void>
}

/**
 * In front of servers on loopback (`127.0.0.1:port` each), without TLS; with it, on both sides, if there is a directory of `public.crt`, `public.key`
 * and `inner.crt`.
 */
export async function startNginx(fronts: readonly string[], tls: string | null = null): Promise<Nginx> {
  const directory = mkdtempSync(join(tmpdir(), 'blobs-nginx-'))
  const port = await freePort()
  cpSync(MINE, directory, { recursive: true })
  const read = (name: string): string => readFileSync(join(directory, name), 'utf8')
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text)
  if (tls === null) {
    write('blobs-listen.conf', `listen 127.0.0.1:${port};\n`)
    write('blobs-scheme.conf', 'set $blobs_scheme http;\n')
  } else {
    const listen = read('blobs-listen.conf').replace(/^listen \[.*\n/m, '')
    write('blobs-listen.conf', listen.replace('443', `127.0.0.1:${port}`).replaceAll('/etc/blobs/tls', tls))
    write('blobs-scheme.conf', read('blobs-scheme.conf').replaceAll('/etc/blobs/tls', tls))
  }
  write('blobs-upstream.conf', fronts.map((front) => `server ${front} max_fails=1 fail_timeout=2s;\n`).join(''))
  // What it writes beside its log stays in the directory, too.
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${kind};\n`)
  const main = read('nginx.conf').replace('/dev/stderr', 'error.log')
  write('nginx.conf', main.replace('/dev/stdout', 'off').replace('http {\n', `http {\n${temporary.join('')}`))
  // Its workers write bodies into this directory, which is its user's.
  const user = process.getuid?.() === 0 ? 'user root; ' : ''
  const log = join(directory, 'error.log')
  const flags = [
    '-p',
    directory,
    '-c',
    join(directory, 'nginx.conf'),
    '-e',
    log,
    '-g',
    `${user}daemon off; pid nginx.pid;`,
  ]
  const child = spawn('nginx', flags, { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const errors = (): string => readFileSync(log, 'utf8')
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
    rmSync(directory, { recursive: true, force: true })
  }
  for (let tries = 0; !(await accepts(port)); tries++) {
    if (tries === 200 || child.exitCode !== null) {
      const said = errors()
      await stop()
      throw new Error(`nginx did not start\n${said}`)
    }
    await sleep(25)
  }
  const url = tls === null ? `http://127.0.0.1:${port}` : `https://localhost:${port}`
  return { url, pid: child.pid ?? 0, errors, stop }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
    socket.once('connect', () => socket.destroy())
  })
}
