import { rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { LONG, type Victim, useScene } from './scene.ts'

const scene = useScene()

describe('a bucket that had files', () => {
  const names = Array.from({ length: 30 }, (_, index) => `f${index}`)
  const filled = async (): Promise<Victim> => {
    for (const name of names) scene.liar.set(name, `bytes of ${name}`)
    const victim = await scene.victim()
    await victim.sync()
    for (const name of names) expect(victim.folder.read(name)).toBe(`bytes of ${name}`)
    return victim
  }
  const kept = (victim: Victim): void => {
    for (const name of names) expect(victim.folder.read(name), name).toBe(`bytes of ${name}`)
    victim.checkOutside()
  }
  const problem = (response: ServerResponse, status: number, code: string): true =>
    scene.liar.json(response, { type: 'x', title: 'x', status, code, detail: 'x' }, status)
  const empty = (response: ServerResponse): true =>
    scene.liar.json(response, { items: [], prefixes: [], complete: true, cursor: scene.liar.cursor() })

  it('and says that it is empty, complete, loses the folder nothing', async () => {
    const victim = await filled()
    for (const code of ['CursorExpired', 'CursorForked']) {
      let first = true
      scene.liar.lie = ({ route }, response) => {
        if (route === 'blobs') return empty(response)
        if (route !== 'changes' || !first) return false
        first = false
        return problem(response, 409, code)
      }
      await victim.sync().catch(() => undefined)
      kept(victim)
    }
  })

  it('nor when the state was lost too', async () => {
    const victim = await filled()
    rmSync(victim.folder.state, { recursive: true })
    scene.liar.lie = ({ route }, response) => route === 'blobs' && empty(response)
    await victim.sync()
    kept(victim)
  })

  it('nor by tombstones that are older than what is here', async () => {
    const victim = await filled()
    for (const name of names) scene.liar.set(name, `newer ${name}`)
    await victim.sync()
    const newer = (): void => {
      for (const name of names) expect(victim.folder.read(name)).toBe(`newer ${name}`)
    }
    newer()
    for (const name of names) scene.liar.remove(name, { version: 2 })
    await victim.sync()
    newer()
    for (const name of names) scene.liar.remove(name, { version: 1 })
    await victim.sync()
    newer()
  })

  it('nor by thousands of true ones, without a yes', async () => {
    const victim = await filled()
    for (const name of names) scene.liar.remove(name)
    const summary = await victim.sync()
    expect(summary).toMatchObject({ deletedLocal: 0 })
    kept(victim)
  })

  it('nor by versions that go back', async () => {
    const victim = await filled()
    for (const name of names) scene.liar.set(name, 'older bytes', { version: 1 })
    await victim.sync()
    kept(victim)
    // And a listing that does: what is here stays, under its name or beside it.
    let first = true
    scene.liar.lie = ({ route }, response) => {
      if (route !== 'changes' || !first) return false
      first = false
      return problem(response, 409, 'CursorForked')
    }
    await victim.sync()
    const all = Object.values(victim.folder.tree())
    for (const name of names) expect(all, name).toContain(`bytes of ${name}`)
  })

  it('nor by another epoch with each answer, and is not asked without a pause', async () => {
    const victim = await filled()
    let epoch = 0
    const other = (): string => String(++epoch).padStart(32, '0')
    scene.liar.lie = ({ route }, response) => {
      if (route === 'changes') return problem(response, 409, 'CursorForked')
      if (route === '')
        return scene.liar.json(response, {
          name: 'team',
          epoch: other(),
          head: `${other()}:1:x`,
          created: '2030-01-01T00:00:00Z',
          blobs: 0,
          bytes: 0,
          options: {},
        })
      return false
    }
    await expect(victim.sync()).rejects.toMatchObject({ code: 'CursorForked' })
    kept(victim)
  })

  const outcomes: readonly (readonly [string, (id: string, key: string) => unknown])[] = [
    ['tell nothing', (id) => ({ id, ok: true, cursor: scene.liar.cursor(), blobs: [] })],
    ['never agree', (id, key) => ({ id, ok: false, conflicts: [{ key, expected: 'absent', current: null }] })],
    [
      'tell of something else',
      (id) => {
        const info = { ...scene.liar.info('f1'), deleted: true, hash: '', size: 0 }
        return { id, ok: true, cursor: scene.liar.cursor(), blobs: [info] }
      },
    ],
  ]
  it.each(LONG ? outcomes : outcomes.slice(-1))(
    'nor by outcomes that %s, and is not asked for ever',
    async (_name, answer) => {
      const victim = await filled()
      victim.folder.write('mine', 'mine')
      scene.liar.asked.splice(0)
      scene.liar.lie = ({ route, body }, response) => {
        if (route !== 'commit') return false
        const { entries } = JSON.parse(String(body)) as { entries: { id: string; changes: { key: string }[] }[] }
        return scene.liar.json(response, {
          outcomes: entries.map(({ id, changes }) => answer(id, changes[0]?.key ?? '')),
        })
      }
      await victim.sync().catch(() => undefined)
      expect(victim.folder.read('mine')).toBe('mine')
      expect(scene.liar.asked.length).toBeLessThan(2000)
      const all = Object.values(victim.folder.tree())
      for (const name of names) expect(all, name).toContain(`bytes of ${name}`)
      victim.checkOutside()
    },
  )
})
