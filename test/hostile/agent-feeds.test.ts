import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { Question } from './liar.ts'
import { useScene } from './scene.ts'

const scene = useScene()

describe('an agent that keeps watch', () => {
  const forked = (response: ServerResponse): true =>
    scene.liar.json(response, { type: 'x', title: 'x', status: 409, code: 'CursorForked', detail: 'x' }, 409)
  const isLive = ({ route, query }: Question): boolean => route === 'changes' && query.has('live')

  it.each<[string, () => void]>([
    [
      'is told each time that the history is another one',
      () => {
        scene.liar.lie = ({ route }, response) => route === 'changes' && forked(response)
      },
    ],
    [
      'is told so by the live feed alone',
      () => {
        scene.liar.lie = (asked, response) => isLive(asked) && forked(response)
      },
    ],
    [
      'is told to wait for years',
      () => {
        scene.liar.lie = (_asked, response) => {
          const told = { type: 'x', title: 'x', status: 503, code: 'Unavailable', detail: 'x', retryAfter: 2 ** 50 }
          return scene.liar.json(response, told, 503)
        }
      },
    ],
    [
      'has its feed ended at once',
      () => {
        scene.liar.lie = (asked) => {
          if (isLive(asked)) asked.socket.destroy()
          return isLive(asked)
        }
      },
    ],
  ])('does not ask all the time when it %s', async (_name, lie) => {
    const victim = await scene.victim('patient')
    victim.folder.write('mine', 'mine')
    await victim.folder.with(
      async (agent) => {
        const stop = new AbortController()
        lie()
        const watching = agent.watch(stop.signal)
        await new Promise((resolve) => setTimeout(resolve, 1500))
        stop.abort()
        await watching
      },
      { wrap: () => victim.store },
    )
    expect(scene.liar.asked.length).toBeLessThan(50)
    expect(victim.folder.read('mine')).toBe('mine')
    victim.checkOutside()
  })

  const flood = (response: ServerResponse, line: () => string): true => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    // As fast as the agent takes it, but for the time that it needs to do so: both are in this process.
    const pour = (): void => {
      if (response.closed) return
      response.write(Array.from({ length: 200 }, line).join(''), () => setTimeout(pour, 2))
    }
    pour()
    return true
  }
  const item = (key: string, version: number): string =>
    `${JSON.stringify({ type: 'put', ...scene.liar.info('good'), key, version })}\n`
  const bookmark = (): string => `${JSON.stringify({ type: 'bookmark', cursor: scene.liar.cursor() })}\n`

  it.each<[string, () => () => string]>([
    ['bookmarks', () => bookmark],
    [
      'versions of one file',
      () => {
        let version = 1
        return () => item('good', ++version)
      },
    ],
    [
      'versions that go back',
      () => {
        let version = 2 ** 40
        return () => item('good', --version) + bookmark()
      },
    ],
    [
      'files without end',
      () => {
        let count = 0
        return () => item(`many/${++count}`, 1)
      },
    ],
  ])(
    'goes on with its work and stops when it is to, under a flood of %s',
    { timeout: 150_000 },
    async (_name, lines) => {
      scene.liar.set('good', 'good')
      const victim = await scene.victim('patient')
      await victim.folder.with(
        async (agent) => {
          const stop = new AbortController()
          scene.liar.lie = (asked, response) => isLive(asked) && flood(response, lines())
          const watching = agent.watch(stop.signal)
          await expect.poll(() => victim.folder.read('good'), { timeout: 60_000 }).toBe('good')
          victim.folder.write('mine', 'mine')
          await expect.poll(() => scene.liar.info('mine')?.version, { timeout: 60_000 }).toBe(1)
          const stopping = performance.now()
          stop.abort()
          await watching
          expect(performance.now() - stopping).toBeLessThan(20_000)
        },
        { wrap: () => victim.store },
      )
      expect(victim.folder.read('mine')).toBe('mine')
      victim.checkOutside()
    },
  )

  it('reads a history without end in flat memory, and stops when it is to', async () => {
    scene.liar.set('good', 'good')
    const victim = await scene.victim('patient')
    await victim.sync()
    let version = 1
    scene.liar.lie = ({ route }, response) => route === 'changes' && flood(response, () => item('good', ++version))
    const before = process.memoryUsage.rss()
    await victim.folder.with(
      async (agent) => {
        const stop = new AbortController()
        setTimeout(() => stop.abort(), 1500)
        expect(await agent.syncOnce(stop.signal)).toMatchObject({ downloaded: 0, uploaded: 0, deletedLocal: 0 })
      },
      { wrap: () => victim.store },
    )
    expect(version).toBeGreaterThan(1000)
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 2 ** 20)
    expect(victim.folder.read('good')).toBe('good')
    victim.checkOutside()
  })
})
