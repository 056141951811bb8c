import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { FolderReport } from '../../src/agent/keeper.ts'
import { type AgentMetrics, openAgentMetrics } from '../../src/agent/metrics.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { systemClock, systemIds as ids } from '../../src/platform/system.ts'
import type { AgentStatus } from '../../src/sync/agent.ts'

let home: string
let directory: string
let file: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'blobs-agent-metrics-'))
  directory = join(home, 'textfile')
  file = join(directory, 'blobs-agent.prom')
})
afterEach(() => rmSync(home, { recursive: true }))

const STATUS = {
  state: 'waiting',
  synced: 7,
  pending: { files: 2, bytes: 300 },
  waiting: [
    { type: 'conflict', path: 'a', siblings: ['a.conflict'], remedy: '' },
    { type: 'approval', side: 'local', count: 40, paths: [], remedy: '' },
  ],
  unsynced: [{ path: 'b', code: 'symlink', reason: '', remedy: '' }],
  lastVerified: '2026-01-01T00:00:00.000Z',
} as unknown as AgentStatus
const FAILED: FolderReport = { folder: '/bad', status: null, problem: { message: 'm', hint: '', retry: '' } }

function opened(reports: () => readonly FolderReport[]): {
  readonly metrics: AgentMetrics
  readonly problems: string[]
  /** Lets it write once more. */
  again(): void
} {
  const problems: string[] = []
  let wake = (): void => undefined
  const sleep = (_ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
      signal?.addEventListener('abort', () => resolve())
    })
  const clock = { ...systemClock, sleep }
  const onProblem = (message: string): void => void problems.push(message)
  const metrics = openAgentMetrics({ directory, reports, onProblem, fs: systemFileSystem(), clock, ids })
  return { metrics, problems, again: () => wake() }
}
const told = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')

it('tells what each folder did and what waits, as promtool likes it, and removes it at the end', async () => {
  mkdirSync(directory)
  let reports: FolderReport[] = [{ folder: '/notes', status: STATUS, problem: null }, FAILED]
  const { metrics, again } = opened(() => reports)
  again()
  await expect.poll(told).toContain('blobs_agent_folder_running')
  metrics.event('/notes', { type: 'uploaded', path: 'a', version: 1, size: 10 })
  metrics.event('/notes', { type: 'downloaded', path: 'b', version: 1, size: 20 })
  metrics.event('/notes', { type: 'downloaded', path: 'c', version: 1, size: 5 })
  metrics.event('/notes', { type: 'progress', files: 1, totalFiles: 1, bytes: 1, totalBytes: 1 })
  again()
  const lines = [
    'folder_running{folder="/notes"} 1',
    'folder_running{folder="/bad"} 0',
    'state{folder="/notes",state="waiting"} 1',
    'synced_paths{folder="/notes"} 7',
    'pending_paths{folder="/notes"} 2',
    'pending_bytes{folder="/notes"} 300',
    'unsynced_paths{folder="/notes"} 1',
    'conflicts{folder="/notes"} 1',
    'held_deletes{folder="/notes"} 40',
    'last_verified_timestamp_seconds{folder="/notes"} 1767225600',
    'events_total{folder="/notes",event="uploaded"} 1',
    'events_total{folder="/notes",event="downloaded"} 2',
    'uploaded_bytes_total{folder="/notes"} 10',
    'downloaded_bytes_total{folder="/notes"} 25',
  ]
  await expect.poll(told).toContain('uploaded_bytes_total{folder="/notes"} 10')
  for (const line of lines) expect(told()).toContain(`\nblobs_agent_${line}\n`)
  expect(told()).not.toContain('progress')
  reports = [FAILED]
  again()
  await expect.poll(told).not.toContain('blobs_agent_synced_paths{')
  if (spawnSync('promtool', ['--version']).status === 0) {
    const checked = spawnSync('promtool', ['check', 'metrics'], { input: told(), encoding: 'utf8' })
    expect([checked.stderr + checked.stdout, checked.status]).toEqual(['', 0])
  }
  await metrics.close()
  expect(existsSync(file)).toBe(false)
})

it('says once that it cannot write, and goes on when it can', async () => {
  const { metrics, problems, again } = opened(() => [FAILED])
  again()
  await expect.poll(() => problems).toHaveLength(1)
  for (let turn = 0; turn < 3; turn++) {
    again()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  expect(problems).toHaveLength(1)
  mkdirSync(directory)
  again()
  await expect.poll(told).toContain('blobs_agent_folder_running{folder="/bad"} 0')
  await metrics.close()
})
