import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { BlobInfo } from '../../src/store/contract/types.ts'
import { useScene } from './scene.ts'

const scene = useScene()

describe('a listing without an end', () => {
  const item = (key: string): BlobInfo => scene.liar.set(key, 'x')
  const page = (response: ServerResponse, keys: readonly string[], next: string | undefined, complete = false): true =>
    scene.liar.json(response, {
      items: keys.map(item),
      prefixes: [],
      complete,
      ...(next === undefined ? {} : { next }),
      cursor: scene.liar.cursor(),
    })
  type Pages = (after: string | null, count: number, response: ServerResponse) => true
  const cases: readonly (readonly [string, Pages])[] = [
    ['that gives one page again and again', (_after, _count, response) => page(response, ['a', 'b'], 'b')],
    [
      'that goes around',
      (after, _count, response) => (after === 'b' ? page(response, ['c'], 'a') : page(response, ['b'], 'b')),
    ],
    ['whose next is before its end', (_after, _count, response) => page(response, ['a', 'b', 'c'], 'b')],
    ['whose keys go back', (_after, _count, response) => page(response, ['b', 'a'], 'b')],
    ['with one key twice', (_after, _count, response) => page(response, ['a', 'a'], 'a')],
    ['of empty pages', (after, _count, response) => page(response, [], after ?? 'a')],
    [
      'of empty pages that go on',
      (_after, count, response) => page(response, [], `a${String(count).padStart(9, '0')}`),
    ],
    ['of keys that were not asked for', (_after, _count, response) => page(response, ['elsewhere/a'], undefined, true)],
    [
      'of more than was asked for',
      (_after, _count, response) =>
        page(
          response,
          Array.from({ length: 1001 }, (_, index) => `p/${index + 1000}`),
          undefined,
          true,
        ),
    ],
    ['without a next', (_after, _count, response) => page(response, ['a'], undefined)],
  ]
  const lie = (pages: Pages): void => {
    let count = 0
    scene.liar.lie = ({ route, query }, response) => route === 'blobs' && pages(query.get('after'), count++, response)
  }

  it.each(cases.filter(([name]) => !/not asked for|keys that go/.test(name)))(
    '%s ends an agent’s sync, and deletes nothing',
    async (_name, pages) => {
      const victim = await scene.victim()
      victim.folder.write('mine', 'mine')
      lie(pages)
      await expect(victim.sync()).rejects.toMatchObject({ code: 'Unavailable' })
      expect(victim.folder.read('mine')).toBe('mine')
      expect(scene.liar.asked.length).toBeLessThan(2000)
    },
  )

  it.each(cases)('%s is none for the client', async (_name, pages) => {
    lie(pages)
    const store = await scene.store()
    const all = async (): Promise<void> => {
      let after: string | undefined
      for (let pages_ = 0; pages_ < 50; pages_++) {
        const got = await store.list({
          prefix: _name.includes('asked for') ? 'p/' : '',
          ...(after === undefined ? {} : { after }),
        })
        if (got.complete) return
        if (got.next === undefined) break
        after = got.next
      }
      throw Object.assign(new Error('no end'), { code: 'Unavailable' })
    }
    await expect(all()).rejects.toMatchObject({ code: 'Unavailable' })
  })

  it('ends get with the code for it', async () => {
    lie((_after, _count, response) => page(response, ['a', 'b'], 'b'))
    const { result } = await scene.get()
    expect(result.code).toBe(8)
  })

  it('that truly grows for ever is read in flat memory, and left at once when it is to stop', async () => {
    scene.liar.lie = ({ route, query }, response) => {
      if (route !== 'blobs') return false
      const start = Number(query.get('after')?.slice(1) ?? 0)
      const keys = Array.from({ length: 1000 }, (_, index) => `k${String(start + index + 1).padStart(12, '0')}`)
      const one = item('k')
      return scene.liar.json(response, {
        items: keys.map((key) => ({ ...one, key })),
        prefixes: [],
        complete: false,
        next: keys.at(-1),
        cursor: scene.liar.cursor(),
      })
    }
    const victim = await scene.victim()
    const before = process.memoryUsage.rss()
    await victim.folder.with(
      async (agent) => {
        const stop = new AbortController()
        setTimeout(() => stop.abort(), 1000)
        const started = performance.now()
        await agent
          .syncOnce(stop.signal)
          .catch((error: unknown) => expect(error).toMatchObject({ code: 'Unavailable' }))
        expect(performance.now() - started).toBeLessThan(6000)
      },
      { wrap: () => victim.store },
    )
    expect(process.memoryUsage.rss() - before).toBeLessThan(400 * 2 ** 20)
    victim.checkOutside()
  })
})
