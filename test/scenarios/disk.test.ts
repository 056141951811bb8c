/** Real disks and kernels: mounts, full disks, limits. What the machine does not permit is skipped, and seen to be. */
import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, type TestContext } from 'vitest'
import { makeToken, openPlace, PROGRAM, startServer } from '../../scripts/harness.ts'
import { changed, openWorld, settle, type Folder, type World } from '../sync/world.ts'

let world: World
let a: Folder
let b: Folder
const mounts: string[] = []
beforeEach(async () => {
  world = await openWorld()
  a = await world.folder('a')
  b = await world.folder('b')
})
afterEach(async () => {
  for (const path of mounts.splice(0)) unmount(path)
  await world.close()
})

function mount(context: TestContext, path: string, options = 'size=4m'): void {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', path], { stdio: 'ignore' })
    mounts.push(path)
  } catch {
    context.skip('mounting is not permitted here')
  }
}
function unmount(path: string): void {
  execFileSync('umount', ['-l', path], { stdio: 'ignore' })
}
const alive = async (): Promise<number> => (await world.store.list()).items.length
const free = { maxDelete: { percent: 100 } }

describe('a root on a disk of its own', () => {
  test('S4 a root that was unmounted deletes nothing, and goes on when it is mounted again', async (context) => {
    const disk = mkdtempSync(join(tmpdir(), 'blobs-mount-'))
    try {
      mount(context, disk)
      const stick = await world.folder('stick', { root: join(disk, 'folder') })
      for (let n = 0; n < 30; n++) stick.write(`file-${n}`, `${n}`)
      await settle(stick, b)
      await stick.with(async (agent) => {
        execFileSync('mount', ['--move', disk, a.root], { stdio: 'ignore' })
        mounts.splice(0, 1, a.root)
        await expect(agent.syncOnce()).rejects.toMatchObject({ code: 'Refused' })
        mkdirSync(join(disk, 'folder'))
        await expect(agent.syncOnce()).rejects.toMatchObject({ code: 'Refused' })
        rmSync(join(disk, 'folder'), { recursive: true })
        execFileSync('mount', ['--move', a.root, disk], { stdio: 'ignore' })
        mounts.splice(0, 1, disk)
        expect(changed(await agent.syncOnce())).toBe(0)
      }, free)
      expect(await alive()).toBe(30)
      expect(Object.keys(b.tree())).toHaveLength(30)
    } finally {
      for (const path of mounts.splice(0)) unmount(path)
      rmSync(disk, { recursive: true })
    }
  })

  test('S4 an empty disk mounted over the root deletes nothing', async (context) => {
    for (let n = 0; n < 30; n++) a.write(`file-${n}`, `${n}`)
    await settle(a, b)
    await a.with(async (agent) => {
      mount(context, a.root)
      await expect(agent.syncOnce()).rejects.toMatchObject({ code: 'Refused' })
      for (const path of mounts.splice(0)) unmount(path)
      expect(changed(await agent.syncOnce())).toBe(0)
    }, free)
    expect(await alive()).toBe(30)
  })

  test('S4 an empty disk mounted over a folder inside deletes nothing of what it hides', async (context) => {
    for (let n = 0; n < 30; n++) a.write(`inside/deep/file-${n}`, `${n}`)
    a.write('beside', 'b')
    await settle(a, b)
    mount(context, join(a.root, 'inside'))
    const summary = await a.sync(free)
    expect(summary).toMatchObject({ deletedRemote: 0, downloaded: 0 })
    expect(summary.skipped.map(({ code }) => code)).toContain('other-device')
    b.write('inside/deep/file-1', 'edited')
    await b.sync()
    await a.sync(free)
    expect(readdirSync(join(a.root, 'inside'))).toEqual([])
    for (const path of mounts.splice(0)) unmount(path)
    await settle(a, b)
    expect(await alive()).toBe(31)
    expect(a.tree()).toEqual(b.tree())
  })
})

test('D9 a disk that is full when a sibling is to be made: nothing is overwritten, and the status says why', async (context) => {
  const disk = mkdtempSync(join(tmpdir(), 'blobs-full-'))
  try {
    mount(context, disk, 'size=1m')
    const full = await world.folder('full', { root: join(disk, 'folder') })
    full.write('doc.bin', 'base')
    await settle(full, b)
    b.write('doc.bin', 't'.repeat(600_000))
    await b.sync()
    full.write('doc.bin', 'm'.repeat(600_000))
    full.write('fill', 'f'.repeat(200_000))
    const summary = await full.sync()
    expect(summary.failed).toMatchObject([{ path: 'doc.bin', code: 'disk-full' }])
    expect(full.read('doc.bin')).toBe('m'.repeat(600_000))
    const { unsynced } = await full.with(async (agent) => agent.status())
    expect(unsynced).toMatchObject([{ path: 'doc.bin', code: 'disk-full', remedy: expect.any(String) }])
    execFileSync('mount', ['-o', 'remount,size=4m', disk], { stdio: 'ignore' })
    await settle(full, b)
    expect(
      Object.values(full.tree())
        .map((text) => text?.[0])
        .sort(),
    ).toEqual(['f', 'm', 't'])
  } finally {
    for (const path of mounts.splice(0)) unmount(path)
    rmSync(disk, { recursive: true })
  }
})

test('S18 a folder that became a link to elsewhere is not deleted through, nor written through', async () => {
  for (const path of ['dir/sub/one', 'dir/sub/two']) a.write(path, path)
  await settle(a, b)
  const outside = join(world.directory, 'outside')
  mkdirSync(join(outside, 'sub'), { recursive: true })
  for (const name of ['one', 'two']) writeFileSync(join(outside, 'sub', name), `dir/sub/${name}`)
  rmSync(join(b.root, 'dir'), { recursive: true })
  symlinkSync(outside, join(b.root, 'dir'))
  a.write('dir/sub/one', 'edited')
  a.remove('dir/sub/two')
  await a.sync()
  const summary = await b.sync(free)
  expect(summary).toMatchObject({ deletedRemote: 0, deletedLocal: 0 })
  expect(summary.skipped.map(({ code }) => code)).toContain('symlink')
  expect(readdirSync(join(outside, 'sub')).sort()).toEqual(['one', 'two'])
  expect(await alive()).toBe(1)
})

test('S33 a folder on B that may not be written to: listed, and its old bytes never sent', async (context) => {
  if (process.getuid?.() === 0) context.skip('root may write everywhere: shown with another user in test/sync/disk')
  a.write('dir/doc', 'old')
  await settle(a, b)
  chmodSync(join(b.root, 'dir'), 0o555)
  a.write('dir/doc', 'newer')
  await a.sync()
  expect(await b.sync()).toMatchObject({ uploaded: 0, failed: [{ path: 'dir/doc', code: 'not-writable' }] })
  chmodSync(join(b.root, 'dir'), 0o755)
  await settle(a, b)
  expect(b.read('dir/doc')).toBe('newer')
})

describe('few file handles', () => {
  test.each([24, 64])(
    'S27 a process with %i of them deletes nothing, whatever it can still do',
    { timeout: 120_000 },
    async (limit) => {
      const place = openPlace('blobs-handles-')
      try {
        const machine = place.machine('laptop')
        const server = await startServer(place.machine('server'))
        const env = { BLOBS_TOKEN_FILE: await makeToken(place.machine('server'), server, 'team') }
        const folder = join(machine.home, 'folder')
        for (let n = 0; n < 200; n++) {
          const path = join(folder, `a${n % 7}/b${n % 11}/c${n % 13}/file-${n}`)
          mkdirSync(dirname(path), { recursive: true })
          writeFileSync(path, `${n}`)
        }
        const sync = (shell: string): { status: number | null; text: string } => {
          const args = [
            '-c',
            `${shell} exec "$@"`,
            'sh',
            process.execPath,
            PROGRAM,
            'sync',
            folder,
            `${server.url}/team`,
          ]
          const { status, stdout, stderr } = spawnSync('sh', [...args, '--json', '--max-delete', '100%'], {
            env: { ...machine.env, ...env },
            encoding: 'utf8',
            timeout: 60_000,
          })
          return { status, text: stdout + stderr }
        }
        const whole = sync('')
        expect(whole.status, whole.text).toBe(0)
        const { text } = sync(`ulimit -n ${limit};`)
        expect(text).not.toContain('"deletedRemote":1')
        const again = sync('')
        expect(again.status, again.text).toBe(0)
        expect(again.text).toMatch(/"uploaded":0,"downloaded":0,"deletedLocal":0,"deletedRemote":0/)
        expect(again.text).toMatch(/"synced":200/)
      } finally {
        await place.dispose()
      }
    },
  )
})
