/**
 * `npm run demo`: a server, two machines that keep a folder each in sync with one bucket, and a third writer, all real processes on this
 * computer. Shows what happens to files when people work, disagree, and when things are killed. Ends by itself; exit code 0 only when
 * both folders and the bucket hold the same.
 */
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeToken, openPlace, startServer, type Machine, type Running, type Server } from './harness.ts'
import { differences, manifestOf, type Manifest } from './manifest.ts'

const BUCKET = 'demo'
const BIG = 6_000_000
const SLOW = '2MB'

interface Desk {
  readonly name: string
  readonly machine: Machine
  readonly folder: string
  agent: Running
}

const started = performance.now()
const place = openPlace('blobs-demo-')
try {
  const same = await demo()
  console.log(`\n${same ? 'both folders and the bucket hold the same' : 'THE SIDES DIFFER'}, after ${seconds()} s`)
  process.exitCode = same ? 0 : 1
} catch (error) {
  console.error(`\nthe demo failed after ${seconds()} s: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
} finally {
  await place.dispose()
}

function seconds(): string {
  return ((performance.now() - started) / 1000).toFixed(1)
}

async function demo(): Promise<boolean> {
  const host = place.machine('server')
  let server = await startServer(host)
  const token = await makeToken(host, server, BUCKET)
  step(`a server listens at ${server.url}; a token for the bucket ${BUCKET} is made`)

  const writer = place.machine('writer', { BLOBS_TOKEN_FILE: token, BLOBS_SERVER: server.url })
  const laptop = openDesk('laptop', server, token)
  const desktop = openDesk('desktop', server, token)
  step('laptop and desktop each keep a folder in sync with it: blobs sync FOLDER URL --watch')

  await work(laptop, desktop, writer)
  await disagree(laptop, desktop, server)
  await killAgent(laptop, desktop, server)
  server = await killServer(laptop, desktop, server)
  return await compare(laptop, desktop, writer)
}

function openDesk(name: string, server: Server, token: string): Desk {
  const machine = place.machine(name, { BLOBS_TOKEN_FILE: token })
  const folder = join(machine.home, 'notes')
  mkdirSync(folder)
  return { name, machine, folder, agent: startAgent(machine, folder, server) }
}

function startAgent(machine: Machine, folder: string, server: Server, ...flags: string[]): Running {
  return machine.start(['sync', folder, `${server.url}/${BUCKET}`, '--watch', '--json', ...flags])
}

async function work(laptop: Desk, desktop: Desk, writer: Machine): Promise<void> {
  writeFileSync(join(laptop.folder, 'plan.md'), '# Plan\n')
  await until('plan.md on the desktop', () => text(desktop, 'plan.md') === '# Plan\n')
  step('laptop writes plan.md → it is on the desktop')

  mkdirSync(join(desktop.folder, 'photos', '2026'), { recursive: true })
  writeFileSync(join(desktop.folder, 'photos', '2026', 'cat.jpg'), randomBytes(300_000))
  writeFileSync(join(desktop.folder, 'run.sh'), '#!/bin/sh\necho hello\n')
  chmodSync(join(desktop.folder, 'run.sh'), 0o755)
  mkdirSync(join(desktop.folder, 'empty'))
  await until('what the desktop made on the laptop', () =>
    ['photos/2026/cat.jpg', 'run.sh', 'empty'].every((path) => existsSync(join(laptop.folder, path))),
  )
  step('desktop makes a photo, a script and an empty folder → they are on the laptop, the script executable')

  await writer.must(['put', '-', `${BUCKET}/inbox/todo.txt`], { input: Buffer.from('buy milk\n') })
  await until('todo.txt on both', () =>
    [laptop, desktop].every((desk) => text(desk, 'inbox/todo.txt') === 'buy milk\n'),
  )
  step('a third writer runs `blobs put` → the file is in both folders')

  writeFileSync(join(laptop.folder, 'draft.txt'), 'a draft\n')
  await until('draft.txt on the desktop', () => existsSync(join(desktop.folder, 'draft.txt')))
  rmSync(join(desktop.folder, 'draft.txt'))
  await until('draft.txt gone from the laptop', () => !existsSync(join(laptop.folder, 'draft.txt')))
  step('desktop deletes draft.txt → it is gone from the laptop, kept in its trash and in the history')

  renameSync(join(laptop.folder, 'photos', '2026', 'cat.jpg'), join(laptop.folder, 'photos', 'tiger.jpg'))
  await until(
    'tiger.jpg on the desktop',
    () =>
      existsSync(join(desktop.folder, 'photos/tiger.jpg')) && !existsSync(join(desktop.folder, 'photos/2026/cat.jpg')),
  )
  await desktop.agent.event(
    'the rename',
    (event) => event['type'] === 'renamed' && event['path'] === 'photos/tiger.jpg',
  )
  step('laptop renames a photo → renamed on the desktop, its bytes did not travel')
}

async function disagree(laptop: Desk, desktop: Desk, server: Server): Promise<void> {
  await settled(laptop, desktop)
  const finished = await laptop.agent.stop()
  if (finished.code !== 0) throw new Error(`the agent ended with ${finished.code}\n${finished.err}`)
  appendFileSync(join(laptop.folder, 'plan.md'), 'from the laptop\n')
  appendFileSync(join(desktop.folder, 'plan.md'), 'from the desktop\n')
  await desktop.agent.event(
    'the upload of plan.md',
    (event) => event['type'] === 'uploaded' && event['path'] === 'plan.md',
  )
  laptop.agent = startAgent(laptop.machine, laptop.folder, server)
  await until('both edits on both sides', () =>
    [laptop, desktop].every((desk) => {
      const sibling = siblingOf(desk)
      return (
        sibling !== undefined &&
        text(desk, 'plan.md') === '# Plan\nfrom the desktop\n' &&
        text(desk, sibling) === '# Plan\nfrom the laptop\n'
      )
    }),
  )
  step(
    `both edit plan.md while the laptop is offline → both edits on both sides: plan.md and ${siblingOf(laptop) ?? ''}`,
  )
}

function siblingOf(desk: Desk): string | undefined {
  return readdirSync(desk.folder).find((name) => name.startsWith('plan.conflict-'))
}

async function killAgent(laptop: Desk, desktop: Desk, server: Server): Promise<void> {
  await desktop.agent.stop()
  const bytes = randomBytes(BIG)
  writeFileSync(join(laptop.folder, 'film.bin'), bytes)
  await laptop.agent.event(
    'the upload of film.bin',
    (event) => event['type'] === 'uploaded' && event['path'] === 'film.bin',
  )
  desktop.agent = startAgent(desktop.machine, desktop.folder, server, '--limit-rate', SLOW)
  await inMidTransfer(desktop.agent)
  await desktop.agent.stop('SIGKILL')
  if (existsSync(join(desktop.folder, 'film.bin'))) throw new Error('film.bin had its name before it was whole')
  desktop.agent = startAgent(desktop.machine, desktop.folder, server)
  await until('film.bin on the desktop', () => existsSync(join(desktop.folder, 'film.bin')))
  if (!readFileSync(join(desktop.folder, 'film.bin')).equals(bytes))
    throw new Error('film.bin arrived with other bytes')
  step(
    "kill -9 of the desktop's agent in the middle of a download → started again, it finishes; no half file was ever seen",
  )
}

async function killServer(laptop: Desk, desktop: Desk, server: Server): Promise<Server> {
  await laptop.agent.stop()
  const bytes = randomBytes(BIG)
  writeFileSync(join(laptop.folder, 'song.bin'), bytes)
  laptop.agent = startAgent(laptop.machine, laptop.folder, server, '--limit-rate', SLOW)
  await inMidTransfer(laptop.agent)
  await server.process.stop('SIGKILL')
  if (laptop.agent.events.some((event) => event['type'] === 'uploaded'))
    throw new Error('song.bin was sent before the server was killed')
  const again = await server.restart()
  await until('song.bin on the desktop', () => existsSync(join(desktop.folder, 'song.bin')), 30_000)
  if (!readFileSync(join(desktop.folder, 'song.bin')).equals(bytes))
    throw new Error('song.bin arrived with other bytes')
  step('kill -9 of the server in the middle of an upload → started again, both agents go on by themselves')
  return again
}

/** At this rate the transfer takes seconds: one after its begin it is in the middle; the callers check that nothing of it was seen yet. */
async function inMidTransfer(agent: Running): Promise<void> {
  await agent.event('a sync under way', (event) => event['type'] === 'state' && event['state'] === 'syncing')
  await sleep(1000)
}

async function settled(laptop: Desk, desktop: Desk): Promise<void> {
  await until(
    'the same in both folders',
    async () => differences(await manifestOf(laptop.folder), await manifestOf(desktop.folder)).length === 0,
  )
}

async function compare(laptop: Desk, desktop: Desk, writer: Machine): Promise<boolean> {
  await settled(laptop, desktop)
  for (const desk of [laptop, desktop]) await desk.machine.must(['sync', desk.folder])
  const sides = [await manifestOf(laptop.folder), await manifestOf(desktop.folder), await bucketManifest(writer)]
  const paths = [...new Set(sides.flatMap((side) => [...side.keys()]))].sort()
  const width = Math.max(...paths.map((path) => path.length))
  console.log(`\n${'path'.padEnd(width)}  laptop    desktop   bucket`)
  let same = true
  for (const path of paths) {
    const values = sides.map((side) => side.get(path) ?? 'nothing')
    const equal = values.every((value) => value === values[0])
    same &&= equal
    console.log(`${path.padEnd(width)}  ${values.map(shorten).join('  ')}  ${equal ? 'same' : 'DIFFERENT'}`)
  }
  for (const desk of [laptop, desktop]) await desk.agent.stop()
  return same
}

function shorten(value: string): string {
  return (value === 'empty folder' ? 'folder' : value.slice(0, 8)).padEnd(8)
}

async function bucketManifest(writer: Machine): Promise<Manifest> {
  const { out } = await writer.must(['ls', '-r', BUCKET, '--json'])
  const manifest = new Map<string, string>()
  for (const line of out.trim().split('\n')) {
    const { type, key, hash, size, meta } = JSON.parse(line)
    if (type === 'summary' || key === undefined) continue
    const executable = meta?.mode === '755' ? ' x' : ''
    manifest.set(key, key.endsWith('/') ? 'empty folder' : `${hash} ${size}${executable}`)
  }
  return manifest
}

function text(desk: Desk, path: string): string | null {
  const full = join(desk.folder, path)
  return existsSync(full) ? readFileSync(full, 'utf8') : null
}

async function until(what: string, holds: () => boolean | Promise<boolean>, milliseconds = 20_000): Promise<void> {
  const end = performance.now() + milliseconds
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not seen within ${milliseconds / 1000} s: ${what}`)
    await sleep(25)
  }
}

function step(what: string): void {
  console.log(`${seconds().padStart(5)} s  ${what}`)
}
