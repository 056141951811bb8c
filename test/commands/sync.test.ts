import { createServer } from 'node:net'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  makeToken,
  openPlace,
  startServer,
  type Event,
  type Finished,
  type Machine,
  type Place,
  type Running,
} from '../../scripts/harness.ts'

let place: Place
let machine: Machine
let folder: string
beforeEach(() => {
  place = openPlace('blobs-sync-')
  machine = place.machine('laptop')
  folder = join(machine.home, 'notes')
  mkdirSync(folder)
})
afterEach(() => place.dispose())

async function watching(...flags: string[]): Promise<Running> {
  const agent = machine.start(['sync', folder, 'team', '--watch', '--json', ...flags])
  await agent.event('an idle agent', (event) => event['type'] === 'state' && event['state'] === 'idle')
  return agent
}

function lines({ out }: Finished): Event[] {
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

describe('sync --watch', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('stops at %s with 0 and a summary as its last line', async (signal) => {
    const agent = await watching()
    writeFileSync(join(folder, 'a.txt'), 'a')
    await agent.event('the upload', (event) => event['type'] === 'uploaded')
    const finished = await agent.stop(signal)
    expect(finished.code).toBe(0)
    expect(lines(finished).at(-1)).toMatchObject({
      type: 'summary',
      root: folder,
      bucket: 'team',
      uploaded: 1,
      synced: 1,
      exitCode: 0,
    })
  })

  it('D13 refuses a second agent on the folder and names the first', async () => {
    const agent = await watching()
    const second = await machine.run(['sync', folder, '--watch'])
    expect(second.code).toBe(12)
    expect(second.err).toContain(`pid ${agent.pid}`)
    const dry = await machine.run(['sync', folder, '--dry-run', '--json'])
    expect(dry.code).toBe(12)
    expect(lines(dry).at(-1)).toMatchObject({ type: 'error', error: { code: 'Refused', exitCode: 12 } })
  })

  it('D13 answers another sync of the folder once everything before it is in sync', async () => {
    const agent = await watching()
    for (let i = 0; i < 50; i++) writeFileSync(join(folder, `${i}.txt`), `${i}`)
    const asked = await machine.must(['sync', folder, '--max-delete', '3'])
    expect(asked.err).toContain('it goes by its own --max-delete')
    expect(asked.err).toContain(`an agent (pid ${agent.pid})`)
    expect(asked.err).toMatch(/50 paths in sync/)
    const { out } = await machine.must(['ls', '-r', 'team'])
    expect(out.trim().split('\n')).toHaveLength(50)
  })

  it('answers status, why, conflicts, approve and reject', async () => {
    await watching()
    writeFileSync(join(folder, 'a.txt'), 'a')
    await machine.must(['sync', folder, '--wait', '-q'])
    const status = JSON.parse((await machine.must(['status', folder, '--json'])).out)
    expect(status).toMatchObject({
      state: 'idle',
      root: folder,
      synced: 1,
      pending: { files: 0, bytes: 0 },
      waiting: [],
      unsynced: [],
    })
    expect(status.watch).toEqual({ mode: 'events', remedy: null })
    const why = JSON.parse((await machine.must(['why', join(folder, 'a.txt'), '--json'])).out)
    expect(why).toMatchObject({ path: 'a.txt', reason: null })
    expect(lines(await machine.must(['conflicts', folder, '--json']))).toEqual([
      { type: 'summary', root: folder, conflicts: 0, files: 0 },
    ])
    for (const word of ['approve', 'reject']) {
      expect(JSON.parse((await machine.must([word, folder, '--json'])).out)).toEqual({ root: folder, count: 0 })
    }
  })

  it('starts while the server is away, shows the status meanwhile, and goes on when it is back', async () => {
    const host = place.machine('server')
    const server = await startServer(host)
    const laptop = place.machine('away', { BLOBS_TOKEN_FILE: await makeToken(host, server, 'team') })
    await laptop.must(['sync', folder, `${server.url}/team`])
    await server.process.stop()
    writeFileSync(join(folder, 'a.txt'), 'a')
    const alone = await laptop.run(['sync', folder])
    expect(alone.code).toBe(8)
    expect((await laptop.must(['status', folder])).out).toContain(`${server.url}/team`)
    const agent = laptop.start(['sync', folder, '--watch', '--json'])
    await agent.event('being offline', (event) => event['type'] === 'offline')
    expect(JSON.parse((await laptop.must(['status', folder, '--json'])).out)).toMatchObject({ state: 'offline' })
    await server.restart()
    await agent.event('the upload', (event) => event['type'] === 'uploaded')
    expect((await agent.stop()).code).toBe(0)
  })

  it('frees the folder when it is killed', async () => {
    const agent = await watching()
    await agent.stop('SIGKILL')
    writeFileSync(join(folder, 'a.txt'), 'a')
    expect((await machine.run(['sync', folder])).code).toBe(0)
  })
})

describe('sync', () => {
  it('exits 3 when a path failed, and names it', async () => {
    await machine.must(['bucket', 'create', 'team', '--max-blob-size', '1KB'])
    writeFileSync(join(folder, 'small.txt'), 'small')
    writeFileSync(join(folder, 'large.bin'), Buffer.alloc(5000))
    const text = await machine.run(['sync', folder, 'team'])
    expect(text.code).toBe(3)
    expect(text.err).toMatch(/^failed: large\.bin: .+\n→ .+/m)
    const json = await machine.run(['sync', folder, '--json'])
    expect(json.code).toBe(3)
    expect(lines(json)).toContainEqual(
      expect.objectContaining({ type: 'failed', path: 'large.bin', reason: 'too-large' }),
    )
    expect(lines(json).at(-1)).toMatchObject({ type: 'summary', failed: 1, exitCode: 3 })
  })

  it('exits 130 when it is interrupted, at once, and goes on where it was', async () => {
    const host = place.machine('server')
    const server = await startServer(host)
    const laptop = place.machine('away', { BLOBS_TOKEN_FILE: await makeToken(host, server, 'team') })
    writeFileSync(join(folder, 'film.bin'), Buffer.alloc(20_000_000, 'film'))
    const slow = laptop.start(['sync', folder, `${server.url}/team`, '--limit-rate', '1MB', '--json'])
    await slow.event('a sync under way', (event) => event['type'] === 'state' && event['state'] === 'syncing')
    await sleep(500)
    const started = performance.now()
    expect((await slow.stop('SIGINT')).code).toBe(130)
    expect(performance.now() - started).toBeLessThan(3000)
    expect((await laptop.run(['sync', folder])).code).toBe(0)
  })

  it('keeps what one machine excludes out of its plan', async () => {
    writeFileSync(join(folder, 'a.txt'), 'a')
    writeFileSync(join(folder, 'a.tmp'), 'noise')
    await machine.must(['sync', folder, 'team', '--exclude', '*.tmp'])
    expect((await machine.must(['ls', 'team'])).out).toBe('a.txt\n')
  })
})

describe('share', () => {
  it('serves the folder so that a second machine can join as it says', async () => {
    const host = machine.start(['share', folder, '--port', '0', '--json'])
    const { url, bucket } = await host.event('an address', (event) => event['type'] === 'listening')
    expect(bucket).toBe('notes')
    const token = await machine.must(['token', 'create', 'notes'])
    const file = join(place.folder, 'notes.token')
    writeFileSync(file, token.out)
    const other = place.machine('desktop', { BLOBS_TOKEN_FILE: file })
    const there = join(other.home, 'notes')
    const joined = other.start(['sync', there, `${String(url)}/notes`, '--watch', '--json'])
    await joined.event('an idle agent', (event) => event['state'] === 'idle')
    writeFileSync(join(folder, 'here.txt'), 'from here')
    await joined.event('what was written here', (event) => event['type'] === 'downloaded')
    expect(readFileSync(join(there, 'here.txt'), 'utf8')).toBe('from here')
    writeFileSync(join(there, 'there.txt'), 'from there')
    await host.event('what was written there', (event) => event['type'] === 'downloaded')
    expect(existsSync(join(folder, 'there.txt'))).toBe(true)

    const secret = token.out.trim()
    const stopped = await host.stop('SIGINT')
    expect(stopped.code).toBe(0)
    expect(lines(stopped).at(-1)).toMatchObject({ type: 'summary', root: folder, bucket: 'notes' })
    expect(stopped.out + stopped.err).not.toContain(secret)
    expect((await joined.stop()).code).toBe(0)
  })

  it('says which flag chooses another port when the wanted one is taken', async () => {
    const taken = createServer()
    await new Promise<void>((resolve) => {
      taken.listen(0, '127.0.0.1', resolve)
    })
    const { port } = taken.address() as { port: number }
    const { code, err } = await machine.run(['share', folder, '--port', String(port)])
    taken.close()
    expect(code).toBe(8)
    expect(err).toContain(String(port))
    expect(err).toContain('--port')
  })

  it('refuses a folder that is in sync with another server', async () => {
    const host = place.machine('server')
    const server = await startServer(host)
    const laptop = place.machine('away', { BLOBS_TOKEN_FILE: await makeToken(host, server, 'team') })
    await laptop.must(['sync', folder, `${server.url}/team`])
    const { code, err } = await laptop.run(['share', folder, '--port', '0'])
    expect(code).toBe(12)
    expect(err).toContain(`${server.url}/team`)
  })
})
