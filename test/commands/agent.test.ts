import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeToken, openPlace, startServer, type Machine, type Place } from '../../scripts/harness.ts'

let place: Place
let machine: Machine
beforeEach(() => {
  place = openPlace('blobs-agent-')
  machine = place.machine('laptop')
})
afterEach(async () => {
  // It outlives who started it, so the test has to end it.
  await machine.run(['agent', 'stop'])
  await place.dispose()
})

interface Report {
  readonly folder: string
  readonly status: { readonly state: string; readonly synced: number; readonly paused: unknown } | null
  readonly problem: { readonly message: string } | null
}

async function paired(name: string, ...files: string[]): Promise<string> {
  const folder = join(machine.home, name)
  mkdirSync(folder)
  for (const file of files) writeFileSync(join(folder, file), file)
  await machine.must(['sync', name, name])
  return folder
}

async function status(): Promise<{ running: boolean; pid: number; folders: Report[] }> {
  return JSON.parse((await machine.must(['agent', 'status', '--json'])).out)
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`${what} did not come to be: ${JSON.stringify(await status())}`)
  }
}

async function keys(bucket: string): Promise<string[]> {
  return (await machine.must(['ls', '-r', bucket])).out.trim().split('\n')
}

async function logged(event: string): Promise<Record<string, unknown>[]> {
  const { out } = await machine.must(['agent', 'logs', '--json', '-n', '10000'])
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  return lines.filter((line) => line.event === event)
}

// Many real processes: a busy machine needs its time.
describe('the background agent', { timeout: 180_000 }, () => {
  it('tells Prometheus of its folders while it runs, where it was told a place for that', async () => {
    const metered = place.machine('desk', { BLOBS_METRICS_DIR: machine.home })
    const file = join(machine.home, 'blobs-agent.prom')
    mkdirSync(join(metered.home, 'notes'))
    writeFileSync(join(metered.home, 'notes', 'a.txt'), 'a')
    try {
      await metered.must(['sync', 'notes', 'notes'])
      await metered.must(['agent', 'start', 'notes'])
      const running = `blobs_agent_folder_running{folder="${join(metered.home, 'notes')}"} `
      const told = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')
      await expect.poll(told, { timeout: 20_000 }).toContain(running)
      expect(statSync(file).mode & 0o777).toBe(0o644)
    } finally {
      await metered.run(['agent', 'stop'])
    }
    await expect.poll(() => existsSync(file), { timeout: 20_000 }).toBe(false)
  })

  it('keeps many folders in sync in one process, and answers for each', async () => {
    const folders = [await paired('notes', 'a.txt'), await paired('photos', 'b.jpg')]
    const started = JSON.parse((await machine.must(['agent', 'start', 'notes', 'photos', '--json'])).out)
    expect(started).toMatchObject({ running: true, folders })
    for (const [index, folder] of folders.entries()) writeFileSync(join(folder, `new-${index}.txt`), 'new')
    for (const name of ['notes', 'photos']) {
      const asked = await machine.must(['sync', name, '--wait'])
      expect(asked.err).toContain(`an agent (pid ${started.pid})`)
      expect(await keys(name)).toContain(name === 'notes' ? 'new-0.txt' : 'new-1.txt')
      expect(JSON.parse((await machine.must(['status', name, '--json'])).out).watch.mode).toBe('events')
    }
    const why = JSON.parse((await machine.must(['why', 'notes/new-0.txt', '--json'])).out)
    expect(why).toMatchObject({ path: 'new-0.txt', reason: null })
    expect((await status()).folders.map((one) => [one.folder, one.status?.state])).toEqual(
      folders.map((folder) => [folder, 'idle']),
    )
    const second = await machine.run(['sync', 'notes', '--watch'])
    expect([second.code, second.err]).toEqual([12, expect.stringContaining('blobs agent stop')])
    expect((await machine.run(['agent', 'run'])).code).toBe(12)
    expect(statSync(join(machine.home, '.local/state/blobs/agent/agent.log')).mode & 0o777).toBe(0o600)
    expect((await logged('uploaded')).map(({ path }) => path).sort()).toEqual(['new-0.txt', 'new-1.txt'])
  })

  it('comes back after kill -9 and goes on, pauses included', async () => {
    const folder = await paired('notes', 'a.txt')
    await paired('photos')
    await machine.must(['agent', 'start', 'notes', 'photos'])
    await machine.must(['pause', 'notes', '--for', '4h'])
    const { pid } = await status()
    process.kill(pid, 'SIGKILL')
    await until('another one', async () => {
      const now = await status()
      return now.running && now.pid !== pid && now.folders.every((one) => one.status !== null)
    })
    writeFileSync(join(folder, 'b.txt'), 'b')
    writeFileSync(join(machine.home, 'photos', 'p.jpg'), 'p')
    await until('the photo', async () => (await keys('photos')).includes('p.jpg'))
    const paused = (await status()).folders.find((one) => one.folder === folder)
    expect(paused?.status).toMatchObject({ state: 'paused', synced: 1 })
    expect(await keys('notes')).toEqual(['a.txt'])
    expect((await machine.must(['status', 'notes'])).out).toMatch(/paused until \d{4}-/)
    await machine.must(['resume'])
    await until('the note', async () => (await keys('notes')).includes('b.txt'))
    expect(await logged('started')).toHaveLength(2)
  })

  it("lets one folder's failure be no matter of the others", async () => {
    const [notes, photos, gone] = [await paired('notes'), await paired('photos'), await paired('gone')]
    await machine.must(['agent', 'start', 'notes', 'photos', 'gone'])
    renameSync(notes, join(machine.home, 'elsewhere'))
    rmSync(gone, { recursive: true })
    writeFileSync(join(photos, 'p.jpg'), 'p')
    await until('the photo', async () => (await keys('photos')).includes('p.jpg'))
    await until('a word about the folders', async () => {
      const { folders } = await status()
      return [notes, gone].every((path) => {
        const one = folders.find(({ folder }) => folder === path)
        return one?.problem !== null || one?.status?.state === 'suspended'
      })
    })
    expect((await machine.must(['agent', 'status'])).out).toMatch(/is not there/)
    renameSync(join(machine.home, 'elsewhere'), notes)
    writeFileSync(join(notes, 'n.txt'), 'n')
    await until('the note', async () => (await keys('notes')).includes('n.txt'))
    const left = JSON.parse((await machine.must(['agent', 'stop', gone, '--json'])).out)
    expect(left).toMatchObject({ running: true, folders: [notes, photos] })
  })

  it('takes tokens from files alone, tells which server lacks one, and waits for one that is away', async () => {
    const host = place.machine('server')
    const server = await startServer(host)
    const token = await makeToken(host, server, 'team')
    const env = { BLOBS_TOKEN: readFileSync(token, 'utf8').trim() }
    const guest = place.machine('guest', env)
    mkdirSync(join(guest.home, 'work'))
    await guest.must(['sync', 'work', `${server.url}/team`])
    const refused = await guest.run(['agent', 'start', 'work'])
    expect([refused.code, refused.err]).toEqual([4, expect.stringContaining('--token-file')])
    try {
      await guest.must(['agent', 'start', 'work', '--token-file', token])
      const registry = readFileSync(join(guest.home, '.local/state/blobs/agent/folders.json'), 'utf8')
      expect(registry).not.toContain(env.BLOBS_TOKEN)
      await server.process.stop()
      writeFileSync(join(guest.home, 'work', 'w.txt'), 'w')
      await guest.must(['agent', 'stop'])
      await guest.must(['agent', 'start'])
      await server.restart()
      const end = performance.now() + 60_000
      while (!(await guest.must(['ls', `${server.url}/team`])).out.includes('w.txt')) {
        expect(performance.now()).toBeLessThan(end)
      }
    } finally {
      await guest.run(['agent', 'stop'])
    }
  })

  it('is stopped whole, and started again with what it had', async () => {
    const folder = await paired('notes')
    await machine.must(['agent', 'start', 'notes'])
    const { pid } = await status()
    expect((await machine.must(['agent', 'stop'])).out).toContain(`pid ${pid}`)
    expect(await status()).toMatchObject({ running: false, folders: [{ folder, status: null }] })
    expect((await machine.must(['agent', 'stop'])).out).toContain('does not run')
    await machine.must(['agent', 'start'])
    expect((await status()).folders).toHaveLength(1)
  })
})

it('install says what it would do, and what to do where no service manager answers', async () => {
  const shown = await machine.must(['agent', 'install', '--print'])
  expect(shown.out).toContain('agent" "run"')
  const file = join(machine.home, '.config/systemd/user/blobs-agent.service')
  expect(existsSync(file)).toBe(false)
  const tried = await machine.run(['agent', 'install'])
  expect([tried.code, tried.err]).toEqual([8, expect.stringContaining('systemctl --user')])
  expect(readFileSync(file, 'utf8')).toBe(shown.out)
  expect((await machine.must(['agent', 'uninstall'])).out).toContain(file)
  expect(existsSync(file)).toBe(false)
})

it.each([
  [['agent', 'start'], 2, 'no folder'],
  [['agent', 'start', 'nowhere'], 6, 'not paired'],
  [['agent', 'stop', 'nowhere'], 6, 'nowhere'],
  [['agent', 'uninstall'], 6, 'not installed'],
  [['agent', 'start', '--max-delete', 'x', 'nowhere'], 6, 'nowhere'],
  [['agent', 'logs', '-n', '-1'], 2, 'lines'],
  [['pause'], 2, 'no folders'],
  [['resume'], 2, 'no folders'],
  [['pause', 'nowhere'], 6, 'nowhere'],
  [['pause', '--for', 'ever'], 2, 'ever'],
] as const)('blobs %j ends with %i', async (args, code, why) => {
  const refused = await machine.run(args)
  expect([refused.code, refused.err]).toEqual([code, expect.stringContaining(why)])
})
