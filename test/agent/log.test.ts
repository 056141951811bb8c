import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { followLog, openLog, readLog, type LogLine } from '../../src/agent/log.ts'
import { systemClock as clock } from '../../src/platform/system.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'blobs-log-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const all = (): boolean => true
const numbers = (lines: readonly LogLine[]): unknown[] => lines.map((line) => line['n'])

it('a line is a JSON object with its time, in a file that only its owner may read', () => {
  openLog({ directory, clock }).write('uploaded', { folder: '/notes', path: 'a\nb' })
  const path = join(directory, 'agent.log')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({ event: 'uploaded', folder: '/notes', path: 'a\nb' })
  expect(readLog(directory, 10, all)[0]?.time).toMatch(/^\d{4}-.*Z$/)
})

it('a full file makes room for another, and the oldest goes', () => {
  const log = openLog({ directory, clock, maxBytes: 1000 })
  for (let n = 0; n < 200; n++) log.write('x', { n })
  const names = readdirSync(directory).sort()
  expect(names).toEqual(['agent.1.log', 'agent.2.log', 'agent.3.log', 'agent.4.log', 'agent.log'])
  for (const name of names) expect(statSync(join(directory, name)).size).toBeLessThanOrEqual(1000)
  expect(numbers(readLog(directory, 5, all))).toEqual([195, 196, 197, 198, 199])
  const rest = numbers(readLog(directory, 10_000, all))
  expect(rest.length).toBeLessThan(100)
  expect(rest).toEqual(Array.from({ length: rest.length }, (_, index) => 200 - rest.length + index))
})

it('who opens it again goes on in the same file', () => {
  for (let n = 0; n < 3; n++) openLog({ directory, clock, maxBytes: 10_000 }).write('x', { n })
  expect(readdirSync(directory)).toEqual(['agent.log'])
  expect(numbers(readLog(directory, 10, all))).toEqual([0, 1, 2])
})

it('a line that a crash cut short is left out', () => {
  openLog({ directory, clock }).write('x', { n: 1 })
  appendFileSync(join(directory, 'agent.log'), '{"time":"2026')
  expect(numbers(readLog(directory, 10, all))).toEqual([1])
})

it('a disk that takes nothing ends nobody', () => {
  const log = openLog({ directory, clock })
  rmSync(directory, { recursive: true })
  log.write('x')
  expect(readLog(directory, 10, all)).toEqual([])
})

it('whoever follows sees each line once, also when the file changes', async () => {
  const log = openLog({ directory, clock, maxBytes: 2000 })
  for (let n = 0; n < 10; n++) log.write('before', { n })
  const stop = new AbortController()
  const seen: unknown[] = []
  const following = (async () => {
    for await (const line of followLog(directory, ({ event }) => event === 'x', clock, stop.signal))
      seen.push(line['n'])
  })()
  await sleep(50)
  for (let n = 0; n < 40; n++) {
    log.write('x', { n })
    if (n % 10 === 9) await expect.poll(() => seen.length).toBe(n + 1)
  }
  expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => n))
  expect(readdirSync(directory).length).toBeGreaterThan(1)
  stop.abort()
  await following
})
