import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { useScene } from './scene.ts'

const scene = useScene()

describe('a redirection', () => {
  it('is followed by nothing, and no other server sees the token', async () => {
    const seen: string[] = []
    const thief = createServer((request, response) => {
      seen.push(`${request.method} ${request.url} ${String(request.headers.authorization)}`)
      response.end('{}')
    })
    await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve))
    scene.after(() => new Promise((resolve) => thief.close(resolve)))
    const elsewhere = `http://127.0.0.1:${(thief.address() as AddressInfo).port}`
    for (const status of [302, 308]) {
      scene.liar.lie = (_asked, response) => {
        response.writeHead(status, { location: `${elsewhere}/v1/buckets/team`, refresh: `0; url=${elsewhere}` })
        response.end()
        return true
      }
      const machine = scene.machine()
      const env = { BLOBS_TOKEN: 'secret' }
      machine.write('file', 'bytes')
      const results = await Promise.all([
        machine.blobs(['get', '-r', `${scene.liar.origin}/team/`, 'to'], { env }),
        machine.blobs(['put', 'file', `${scene.liar.origin}/team/file`], { env }),
      ])
      for (const { code, stderr } of results) {
        expect(code, stderr).toBe(8)
        expect(stderr).not.toContain('secret')
      }
      if (status !== 302) continue
      const victim = await scene.victim().catch((error: unknown) => error)
      expect(victim).toMatchObject({ code: 'Unavailable' })
    }
    expect(seen).toEqual([])
  })
})
