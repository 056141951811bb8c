import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPlace, PROGRAM, type Machine, type Place, type Running } from '../../scripts/harness.ts'
import { keychainLacks, openKeychainSession } from './keychain-session.ts'
import { openNetwork } from './network-namespaces.ts'

let place: Place
beforeEach(() => {
  place = openPlace('blobs-join-')
})
afterEach(() => place.dispose())

/** A machine whose folder `notes` holds a file. */
function sharer(via?: readonly string[]): Machine {
  const machine = place.machine('laptop', {}, via)
  mkdirSync(join(machine.home, 'notes'))
  writeFileSync(join(machine.home, 'notes', 'plan.txt'), 'a plan')
  return machine
}

async function share(machine: Machine, ...args: string[]): Promise<{ process: Running; link: string; port: number }> {
  const process = machine.start(['share', 'notes', '--json', ...args])
  const { link } = await process.event('a link', ({ type }) => type === 'invitation')
  const { port } = await process.event('an address', ({ type }) => type === 'listening')
  return { process, link: String(link), port: Number(port) }
}

function tokensOf({ home }: Machine): string[] {
  const servers = join(home, '.local/state/blobs/servers')
  if (!existsSync(servers)) return []
  return readdirSync(servers).map((name) => String(JSON.parse(readFileSync(join(servers, name), 'utf8')).token))
}

/** The link with some of its characters after `from` changed. */
function altered(link: string, from: number): string {
  const other = link[from] === 'A' ? 'BBBB' : 'AAAA'
  return link.slice(0, from) + other + link.slice(from + 4)
}

// Many real processes: a busy machine needs its time.
describe('on one machine', { timeout: 120_000 }, () => {
  it('a second home joins, syncs, and stays in sync without being told the token again', async () => {
    const laptop = sharer()
    const desktop = place.machine('desktop')
    const { process, link } = await share(laptop, '--port', '0')
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/notes#[\w-]{22}$/)
    const joined = await desktop.must(['join', link, 'copy', '--insecure-storage'])
    expect(joined.err).toContain('joined http://127.0.0.1')
    expect(readFileSync(join(desktop.home, 'copy', 'plan.txt'), 'utf8')).toBe('a plan')
    await process.event('the guest', ({ type, name }) => type === 'joined' && name === 'desktop')
    writeFileSync(join(desktop.home, 'copy', 'answer.txt'), 'an answer')
    await desktop.must(['sync', 'copy'])
    await process.event('the answer', ({ type, path }) => type === 'downloaded' && path === 'answer.txt')
    const servers = join(desktop.home, '.local/state/blobs/servers')
    for (const file of readdirSync(servers)) expect(statSync(join(servers, file)).mode & 0o777).toBe(0o600)
    expect((await process.stop()).code).toBe(0)
  })

  it('without a keychain the code is not spent, unless the token may be kept unencrypted', async () => {
    const laptop = sharer()
    const desktop = place.machine('desktop')
    const { process, link } = await share(laptop, '--port', '0')
    const refused = await desktop.run(['join', link, 'copy'])
    expect([refused.code, refused.err]).toEqual([
      4,
      expect.stringMatching(/keychain .* cannot be used.*--insecure-storage/s),
    ])
    expect(existsSync(join(desktop.home, 'copy'))).toBe(false)
    await desktop.must(['join', link, 'copy', '--insecure-storage'])
    expect((await process.stop()).code).toBe(0)
  })

  it.skipIf(keychainLacks() !== null)('the token is kept in the keychain where there is one', async () => {
    const session = await openKeychainSession()
    try {
      const laptop = sharer()
      const desktop = place.machine('desktop', session.env)
      const { process, link } = await share(laptop, '--port', '0')
      let joined = await desktop.run(['join', link, 'copy'])
      // On a busy machine the keychain may take longer than anyone waits for it.
      for (let tries = 0; tries < 3 && joined.err.includes('does not answer'); tries++) {
        const another = JSON.parse((await laptop.must(['share', 'notes', '--json'])).out.split('\n')[0] ?? '')
        joined = await desktop.run(['join', another.link, 'copy'])
      }
      expect([joined.code, joined.err]).toEqual([0, expect.stringContaining('the token is kept in the keychain')])
      expect(tokensOf(desktop)).toEqual(['undefined', 'undefined'])
      writeFileSync(join(desktop.home, 'copy', 'answer.txt'), 'an answer')
      await desktop.must(['sync', 'copy'])
      await process.event('the answer', ({ type, path }) => type === 'downloaded' && path === 'answer.txt')
      expect((await process.stop()).code).toBe(0)
    } finally {
      session.dispose()
    }
  })

  it('the same share again gives another link, from the one that runs', async () => {
    const laptop = sharer()
    const { link, port } = await share(laptop, '--port', '0')
    const again = await laptop.must(['share', 'notes', '--json'])
    const [invitation, summary] = again.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(invitation).toMatchObject({ type: 'invitation' })
    expect(invitation.link).toContain(`:${port}/notes#`)
    expect(invitation.link).not.toBe(link)
    expect(summary).toMatchObject({ type: 'summary', bucket: 'notes' })
    for (const [name, one] of [
      ['desktop', link],
      ['tablet', invitation.link],
    ]) {
      await place.machine(name).must(['join', one, 'copy', '--insecure-storage'])
    }
  })

  it('a folder that an agent keeps in sync already is served beside it', async () => {
    const laptop = sharer()
    const agent = laptop.start(['sync', 'notes', 'notes', '--watch', '--json'])
    await agent.event('an idle agent', ({ type, state }) => type === 'state' && state === 'idle')
    const { process, link } = await share(laptop, '--port', '0')
    const desktop = place.machine('desktop')
    await desktop.must(['join', link, 'copy', '--insecure-storage'])
    expect(existsSync(join(desktop.home, 'copy', 'plan.txt'))).toBe(true)
    const ended = await process.stop()
    expect([ended.code, ended.err]).toEqual([0, expect.stringContaining(`pid ${agent.pid}`)])
    expect((await agent.stop()).code).toBe(0)
  })

  it('two buckets of one server have a token each, until logout', async () => {
    const laptop = sharer()
    const desktop = place.machine('desktop')
    const first = await share(laptop, '--port', '0')
    await desktop.must(['join', first.link, 'copy', '--insecure-storage'])
    await first.process.stop()
    mkdirSync(join(laptop.home, 'photos'))
    const second = laptop.start(['share', 'photos', '--json', '--port', String(first.port)])
    const { link } = await second.event('a link', ({ type }) => type === 'invitation')
    await desktop.must(['join', String(link), 'pictures', '--insecure-storage'])
    const server = `http://127.0.0.1:${first.port}`
    for (const [folder, bucket] of [
      ['copy', 'notes'],
      ['pictures', 'photos'],
    ] as const) {
      writeFileSync(join(desktop.home, folder, 'new.txt'), folder)
      await desktop.must(['sync', folder])
      expect((await desktop.must(['ls', `${server}/${bucket}`])).out).toContain('new.txt')
    }
    expect((await desktop.must(['logout', server, '--revoke'])).out).toContain('revoked and forgotten')
    const records = (await laptop.must(['token', 'ls', '--all', '--json'])).out
    expect(records.match(/"revoked":\s*"/g)).toHaveLength(2)
    for (const folder of ['copy', 'pictures']) expect((await desktop.run(['sync', folder])).code).toBe(4)
  })

  it('no code is spent on what cannot be done here', async () => {
    const laptop = sharer()
    const { link } = await share(laptop, '--port', '0')
    const desktop = place.machine('desktop')
    mkdirSync(join(desktop.home, 'other'))
    writeFileSync(join(desktop.home, 'file'), '')
    await desktop.must(['sync', 'other', 'other'])
    const cases: [folder: string, code: number, why: string][] = [
      ['other', 12, 'paired with other already'],
      ['other/inner', 12, 'synced as a whole'],
      ['file', 2, 'not a folder'],
      ['missing/inner', 6, 'missing'],
    ]
    for (const [folder, code, why] of cases) {
      const refused = await desktop.run(['join', link, folder, '--insecure-storage'])
      expect([folder, refused.code]).toEqual([folder, code])
      expect(refused.err).toContain(why)
    }
    // A place for the token that cannot be written to.
    const servers = join(desktop.home, '.local/state/blobs/servers')
    writeFileSync(servers, 'not a folder')
    expect((await desktop.run(['join', link, 'copy', '--insecure-storage'])).code).not.toBe(0)
    const tablet = place.machine('tablet', { BLOBS_TOKEN: 'of-another-server' })
    await tablet.must(['join', link, 'copy', '--insecure-storage'])
  })

  it('a code that is spent, wrong or late is refused with 4 and the way to another', async () => {
    const laptop = sharer()
    const { link } = await share(laptop, '--port', '0', '--code-lasts', '1s')
    const desktop = place.machine('desktop')
    await sleep(1100)
    const cases = [
      [link, 'expired'],
      [altered(link, link.indexOf('#') + 1), 'not known'],
    ] as const
    for (const [one, why] of cases) {
      const refused = await desktop.run(['join', one, 'copy', '--insecure-storage'])
      expect([refused.code, refused.err]).toEqual([4, expect.stringContaining(why)])
      expect(refused.err).toContain('take a new link')
    }
    expect(existsSync(join(desktop.home, 'copy'))).toBe(false)
    expect(tokensOf(desktop)).toEqual([])
  })
})

const terminal = spawnSync('script', ['--version']).status === 0

it.skipIf(!terminal)(
  'on a terminal the link is shown as a QR code too, and again when the first sync pushed it away (needs script)',
  { timeout: 120_000 },
  async () => {
    const laptop = sharer()
    for (let n = 0; n < 30; n++) writeFileSync(join(laptop.home, 'notes', `${n}.txt`), `${n}`)
    const command = [process.execPath, PROGRAM, 'share', 'notes', '--port', '0'].map((word) => `'${word}'`).join(' ')
    const shown = spawn('script', ['-qec', `stty cols 120; exec ${command}`, '/dev/null'], {
      cwd: laptop.home,
      env: { ...laptop.env, TERM: 'xterm' },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let text = ''
    shown.stdout.setEncoding('utf8').on('data', (part: string) => (text += part))
    const ended = new Promise((resolve) => void shown.once('close', resolve))
    try {
      await expect.poll(() => text.match(/ join 'http/g)?.length, { timeout: 60_000 }).toBe(2)
      // A code has three such corners.
      await expect.poll(() => text.match(/█ ▄▄▄▄▄ █/g)?.length, { timeout: 10_000 }).toBe(6)
      expect(text.lastIndexOf('uploaded ')).toBeLessThan(text.lastIndexOf(" join 'http"))
    } finally {
      shown.stdin.write('\u0003')
    }
    await ended
  },
)

const network = openNetwork()
afterAll(() => network?.dispose())

describe.skipIf(network === null)(
  'between two network namespaces (needs root and iproute2)',
  { timeout: 120_000 },
  () => {
    const [here, there] = network?.addresses ?? ['', '']
    const [viaHere, viaThere] = network?.via ?? [[], []]

    it('a machine joins over TLS by the fingerprint of the link, and knows the server by it from then on', async () => {
      const laptop = sharer(viaHere)
      const desktop = place.machine('desktop', {}, viaThere)
      const first = await share(laptop, '--host', '0.0.0.0')
      expect(first.link).toMatch(new RegExp(`^https://${here}:7420/notes#[\\w-]{22}\\.[\\w-]{43}$`))
      expect(statSync(join(laptop.home, '.local/share/blobs/tls.pem')).mode & 0o777).toBe(0o600)
      const started = performance.now()
      await desktop.must(['join', first.link, 'copy', '--insecure-storage'])
      expect(performance.now() - started).toBeLessThan(20_000)
      expect(readFileSync(join(desktop.home, 'copy', 'plan.txt'), 'utf8')).toBe('a plan')
      await first.process.event('the guest', ({ type, address }) => type === 'joined' && address === there)
      const spent = await desktop.run(['join', first.link, 'copy', '--insecure-storage'])
      expect([spent.code, spent.err]).toEqual([4, expect.stringContaining('used already')])
      await first.process.stop()
      // The same certificate after a new start: it is known.
      const second = await share(laptop, '--host', here)
      await desktop.must(['sync', 'copy'])
      await desktop.must(['ls', `https://${here}:7420/notes`])
      await second.process.stop()
      // Another server at the same address: it is told nothing.
      const impostor = place.machine('impostor', {}, viaHere)
      mkdirSync(join(impostor.home, 'notes'))
      const third = await share(impostor, '--host', here)
      for (const args of [
        ['sync', 'copy'],
        ['ls', `https://${here}:7420/notes`],
      ]) {
        const refused = await desktop.run(args)
        expect([refused.code, refused.err]).toEqual([12, expect.stringContaining('its certificate is another')])
      }
      // Unless its owner hands a new link on.
      await desktop.must(['join', third.link, 'copy2', '--insecure-storage'])
    })

    it('a wrong fingerprint is refused before the code is sent; a late code after', async () => {
      const laptop = sharer(viaHere)
      const desktop = place.machine('desktop', {}, viaThere)
      const { link } = await share(laptop, '--host', here)
      const wrong = await desktop.run(['join', altered(link, link.length - 10), 'copy', '--insecure-storage'])
      expect([wrong.code, wrong.err]).toEqual([12, expect.stringContaining('another fingerprint')])
      const none = await desktop.run(['join', link.slice(0, link.lastIndexOf('.')), 'copy', '--insecure-storage'])
      expect([none.code, none.err]).toEqual([12, expect.stringContaining('not trusted')])
      expect(tokensOf(desktop)).toEqual([])
      await desktop.must(['join', link, 'copy', '--insecure-storage'])
      const late = await laptop.must(['share', 'notes', '--json', '--code-lasts', '1s'])
      const { link: another } = JSON.parse(late.out.split('\n')[0] ?? '')
      await sleep(1100)
      const expired = await desktop.run(['join', another, 'copy', '--insecure-storage'])
      expect([expired.code, expired.err]).toEqual([4, expect.stringContaining('expired')])
    })

    it('both stay in sync over the wire', async () => {
      const laptop = sharer(viaHere)
      const desktop = place.machine('desktop', {}, viaThere)
      const { process, link } = await share(laptop, '--host', here)
      const guest = desktop.start(['join', link, 'copy', '--watch', '--json', '--insecure-storage'])
      await guest.event('an idle agent', ({ type, state }) => type === 'state' && state === 'idle')
      writeFileSync(join(laptop.home, 'notes', 'from-laptop.txt'), '1')
      await guest.event('the file', ({ type, path }) => type === 'downloaded' && path === 'from-laptop.txt')
      writeFileSync(join(desktop.home, 'copy', 'from-desktop.txt'), '2')
      await process.event('the file', ({ type, path }) => type === 'downloaded' && path === 'from-desktop.txt')
      expect((await guest.stop()).code).toBe(0)
      expect((await process.stop()).code).toBe(0)
    })
  },
)
