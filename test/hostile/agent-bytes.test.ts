import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { FRAMES_TYPE } from '../../src/protocol/routes.ts'
import { framesBody } from '../protocol/frames-body.ts'
import { sha } from './fortress.ts'
import { LONG, useScene } from './scene.ts'

const scene = useScene()

describe('bytes that are not those of the listing', () => {
  const bytes = Buffer.from('honest bytes of a file')
  const others = Buffer.from('other bytes of that file')
  const cases: readonly (readonly [string, () => void])[] = [
    ['of another hash', () => lieInFetch(others)],
    ['longer than they were said to be', () => lieInFetch(Buffer.alloc(1024 * 1024))],
    ['none', () => lieInFetch(Buffer.alloc(0))],
  ]
  /** Both ways to get bytes tell the same lie, with hashes that fit it. */
  const lieInFetch = (told: Buffer): void => {
    scene.liar.lie = ({ route, method, path, body }, response) => {
      if (route === 'fetch') {
        const { wants } = JSON.parse(String(body)) as { wants: unknown[] }
        response.writeHead(200, { 'content-type': FRAMES_TYPE })
        response.end(framesBody(wants.map(() => ({ label: sha(told), bytes: told }))))
        return true
      }
      if (route !== 'blob' || method !== 'GET') return false
      const info = { key: path, size: told.length, hash: sha(told) }
      response.writeHead(200, {
        etag: '"1-0000000000000000"',
        'content-length': String(info.size),
        'x-blobs-bucket': 'team',
        'x-blobs-key': path,
        'x-blobs-version': '1',
        'x-blobs-size': String(info.size),
        'x-blobs-sha256': info.hash,
        'x-blobs-type': 'a',
        'x-blobs-modified': '2030-01-01T00:00:00Z',
        'x-blobs-deleted': 'false',
        'x-blobs-position': 'p',
        'x-blobs-entry': '0'.repeat(32),
        'x-blobs-author': '',
        'x-blobs-device': '',
      })
      response.end(told)
      return true
    }
  }
  const fill = (): void => {
    for (let index = 0; index < 30; index++) scene.liar.set(`file${index}`, bytes)
  }

  it.each(cases)('are not kept by an agent: %s', async (_name, lie) => {
    fill()
    lie()
    const victim = await scene.victim()
    const summary = await victim.sync()
    expect(summary.failed.length).toBe(30)
    expect(Object.keys(victim.folder.tree()).filter((path) => path.startsWith('file') && path !== 'file-link')).toEqual(
      [],
    )
    victim.checkOutside()
  })

  // Without bytes, the client asks again for some seconds.
  it.each(cases.filter(([name]) => LONG || name !== 'none'))('are not kept by get: %s', async (_name, lie) => {
    fill()
    lie()
    const { to, result } = await scene.get()
    expect(result.code, result.stderr + result.stdout).toBe(9)
    expect(readdirSync(to).sort()).toEqual(['file-link', 'link'])
  })
})
