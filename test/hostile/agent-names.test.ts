import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collect } from '../content/collect.ts'
import { LONG, useScene } from './scene.ts'

const scene = useScene()

const EVIL = [
  '..',
  '../escaped',
  '../outside/canary',
  '../../../../../../tmp/escaped',
  'x/../../escaped',
  'x/../../outside/canary',
  './here',
  '.',
  '/etc/escaped',
  '/escaped',
  'x//y',
  'nul\0name',
  '.blobs/root.json',
  '.blobs/tmp/x',
  '.BLOBS/root.json',
  'link/escaped',
  'link/canary',
  'link/inner/canary',
  'n'.repeat(300),
  `deep/${'n'.repeat(256)}/x`,
]
/** Strange, but names of files like others on this disk. */
const HARMLESS = [
  'back\\slash',
  '..\\escaped',
  'C:\\escaped',
  'CON',
  'a:b',
  'trailing. ',
  '-rf',
  '~',
  '$HOME',
  '\x1b[2J',
  'a\nb',
]

describe('keys that lead out of the folder', () => {
  const fill = (): void => {
    for (const key of [...EVIL, ...HARMLESS]) scene.liar.set(key, `bytes of ${key}`)
    scene.liar.set('file-link', 'new bytes')
    scene.liar.set('good', 'good')
  }

  it('bring nothing out of a folder that is synced; each is told with its reason, and the others come', async () => {
    fill()
    const victim = await scene.victim()
    await victim.folder.with(
      async (agent) => {
        await agent.syncOnce()
        const told = agent.status().unsynced.map(({ path }) => path)
        // What is below `.blobs` is left alone by a rule.
        for (const key of EVIL.filter((one) => !one.toLowerCase().startsWith('.blobs/')))
          expect(told, key).toContain(key)
        expect(told).toContain('file-link')
      },
      { wrap: () => victim.store },
    )
    for (const key of [...HARMLESS, 'good']) expect(readFileSync(join(victim.folder.root, key), 'utf8')).toBeTruthy()
    expect(readlinkSync(join(victim.folder.root, 'file-link'))).toContain('canary')
    expect(JSON.parse(readFileSync(join(victim.folder.root, '.blobs', 'root.json'), 'utf8'))).toMatchObject({
      bucket: 'team',
    })
    victim.checkOutside()
  })

  it('nor when they come by the feed, or are deleted', async () => {
    const victim = await scene.victim()
    await victim.sync()
    fill()
    await victim.sync()
    for (const key of EVIL) scene.liar.remove(key)
    await victim.sync()
    expect(victim.folder.read('good')).toBe('good')
    victim.checkOutside()
  })

  it('bring nothing out of a folder that is got', async () => {
    fill()
    const { to, result, checkOutside } = await scene.get()
    expect(result.code).toBe(3)
    expect(result.stderr).not.toContain('\x1b')
    expect(result.stdout).not.toContain('\x1b')
    for (const key of [...HARMLESS, 'good']) expect(readFileSync(join(to, key), 'utf8')).toBeTruthy()
    // A link is replaced by a file of its name, never written through.
    expect(readFileSync(join(to, 'file-link'), 'utf8')).toBe('new bytes')
    expect(existsSync(join(to, '.blobs'))).toBe(false)
    checkOutside()
  })
})

describe('keys that are none', () => {
  it.each<[string, unknown]>([
    ['empty', ''],
    ['longer than any', 'k'.repeat(1025)],
    ['of half a sign', 'a\ud800b'],
    ['a number', 7],
    ['a list of names', ['..', 'escaped']],
    ['an object', { toString: '../escaped' }],
    ['null', null],
  ])('are refused before anything is asked for or written: %s', async (_name, key) => {
    scene.liar.set('good', 'good')
    scene.liar.lie = ({ route }, response) => {
      const item = { ...scene.liar.info('good'), key }
      if (route === 'blobs') {
        return scene.liar.json(response, { items: [item], prefixes: [], complete: true, cursor: scene.liar.cursor() })
      }
      if (route !== 'changes') return false
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      response.end(`${JSON.stringify({ type: 'put', ...item })}\n`)
      return true
    }
    const victim = await scene.victim()
    victim.folder.write('mine', 'mine')
    await expect(victim.sync()).rejects.toMatchObject({ code: 'Unavailable' })
    await expect(collect(victim.store.changes({}))).rejects.toMatchObject({ code: 'Unavailable' })
    expect(victim.folder.tree()).toMatchObject({ mine: 'mine' })
    expect(scene.liar.asked.filter((one) => /fetch|blob$|commit/.test(one))).toEqual([])
    victim.checkOutside()
    // It asks again for some seconds.
    if (!LONG) return
    const { result, checkOutside } = await scene.get()
    expect(result.code, result.stderr).toBe(8)
    checkOutside()
  })
})

it('metadata that no disk has makes no trouble, and no file that runs as somebody else', async () => {
  const times = [
    '-62135596801',
    '253402300800',
    '999999999999',
    '-999999999999',
    'NaN',
    '1e99',
    '',
    '0',
    '-1',
    '2147483648',
  ]
  for (const [index, mtime] of times.entries()) scene.liar.set(`t${index}`, 'x', { meta: { mtime, mode: '7777' } })
  for (const mode of ['4755', '06755', '-1', 'x', '99999', '']) scene.liar.set(`m${mode}`, 'x', { meta: { mode } })
  const victim = await scene.victim()
  expect(await victim.sync()).toMatchObject({ failed: [] })
  const { to, result } = await scene.get()
  expect(result.code, result.stderr).toBe(0)
  for (const root of [victim.folder.root, to]) {
    for (const name of readdirSync(root)) {
      const stat = lstatSync(join(root, name))
      if (stat.isFile()) expect(stat.mode & 0o7000, `${dirname(root)} ${name}`).toBe(0)
    }
  }
})

it('what a server says cannot speak to the terminal', async () => {
  const machine = scene.machine()
  const evil = '\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202egnp.exe'
  scene.liar.lie = (_asked, response) =>
    scene.liar.json(
      response,
      { type: 'x', title: evil, status: 403, code: 'Forbidden', detail: evil, hint: evil, key: evil },
      403,
    )
  for (const args of [
    ['ls', `${scene.liar.origin}/team/`],
    ['get', '-r', `${scene.liar.origin}/team/`, 'to'],
  ]) {
    const { code, stderr, stdout } = await machine.blobs(args, { env: { BLOBS_TOKEN: 'secret' } })
    expect(code).toBe(5)
    // oxlint-disable-next-line no-control-regex -- just these must not come through
    expect(stderr + stdout).not.toMatch(/[\x1b\x07\x9b\r\u202e]/)
  }
})
