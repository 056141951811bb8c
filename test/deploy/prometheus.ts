import { spawn } from 'node:child_process'
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOT } from '../../scripts/harness.ts'
import { freePort } from '../../scripts/free-ports.ts'

interface Sample {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}
export interface Prometheus {
  /** What an instant query finds. Throws when it is no query. */
  query(expression: string): Promise<readonly Sample[]>
  /** Names of the alerts that fire now, with the instance. */
  firing(): Promise<readonly string[]>
  stop(): Promise<void>
}

/** With the files of `deploy/prometheus`, made quick; `targets` and the directories stand for those named there. */
export async function startPrometheus(
  directory: string,
  where: { readonly targets: readonly string[]; readonly tls: string; readonly tokens: string },
): Promise<Prometheus> {
  const port = await freePort()
  cpSync(join(ROOT, 'deploy', 'prometheus'), directory, { recursive: true })
  const edit = (name: string, act: (text: string) => string): void =>
    writeFileSync(join(directory, name), act(readFileSync(join(directory, name), 'utf8')))
  edit('prometheus.yml', (text) =>
    text
      .replace(/targets: \['blobs-1.*\]/, `targets: [${where.targets.map((target) => `'${target}'`).join(', ')}]`)
      .replace('/etc/blobs/tls', where.tls)
      .replace('/etc/blobs/tokens', where.tokens)
      .replaceAll('15s', '500ms'),
  )
  edit('alerts.yml', (text) => text.replaceAll(/for: \d+[mh]/g, 'for: 1s'))
  const flags = [`--config.file=${join(directory, 'prometheus.yml')}`, `--web.listen-address=127.0.0.1:${port}`]
  const child = spawn('prometheus', [...flags, `--storage.tsdb.path=${join(directory, 'data')}`], { stdio: 'pipe' })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const ask = async <T>(path: string): Promise<T> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    const { data, error } = (await answer.json()) as { readonly data?: T; readonly error?: string }
    if (data === undefined) throw new Error(`${path}: ${error}`)
    return data
  }
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => null)
    if (ready?.ok === true) break
    if (tries === 400 || child.exitCode !== null) throw new Error(`prometheus did not start\n${said}`)
    await sleep(50)
  }
  return {
    query: async (expression) => {
      const path = `/api/v1/query?query=${encodeURIComponent(expression)}`
      return (await ask<{ readonly result: readonly Sample[] }>(path)).result
    },
    firing: async () => {
      const { alerts } = await ask<{ alerts: readonly { state: string; labels: Record<string, string> }[] }>(
        '/api/v1/alerts',
      )
      return alerts
        .filter(({ state }) => state === 'firing')
        .map(({ labels }) => `${labels['alertname']} ${labels['instance']}`)
    },
    stop: async () => {
      child.kill('SIGKILL')
      await ended
    },
  }
}
