import { mkdirSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openMachine, type Machine } from './blobs.ts'

let machine: Machine
let place: string
beforeEach(() => {
  machine = openMachine()
  mkdirSync(machine.path('share'))
  place = `folder://${machine.path('share')}`
})
afterEach(() => machine.dispose())

async function must(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await machine.blobs(args)
  expect(code, stderr).toBe(0)
  return stdout
}

describe('a place that a driver opens', () => {
  it('is used like any other: by its URL, and as the place where bare names are', async () => {
    await must('bucket', 'create', `${place}//team`)
    await must('put', machine.write('a b?.txt', 'one'), `${place}//team/`)
    expect(await must('cat', `${place}//team/a%20b%3F.txt`)).toBe('one')
    expect((await machine.blobs(['ls'], { env: { BLOBS_SERVER: place } })).stdout).toContain('team')
    const { stdout } = await machine.blobs(['cat', 'team/a b?.txt'], { env: { BLOBS_SERVER: place } })
    expect(stdout).toBe('one')
    expect(await must('history', `${place}//team/a%20b%3F.txt`)).toContain('laptop')
  })

  it('names whole URLs in what it advises', async () => {
    await must('bucket', 'create', `${place}//team`)
    const { code, stderr } = await machine.blobs(['ls', `${place}//teem`])
    expect(code).toBe(6)
    expect(stderr).toContain(`${place}//team?`)
    expect(stderr).toContain(`blobs bucket create ${place}//teem`)
  })

  it('is examined by doctor: what it promises, and whether its bucket is there', async () => {
    await must('bucket', 'create', `${place}//team`)
    const found = (await machine.blobs(['doctor', `${place}//team`, '--json'])).json()
    expect(found).toMatchObject({ ok: true, buckets: 1, location: place })
    expect(found['findings']).toContainEqual(expect.objectContaining({ code: 'durability', severity: 'fact' }))
    const missing = await machine.blobs(['doctor', `${place}//nothing`])
    expect(missing.code).toBe(6)
    expect(missing.stdout).toContain('failure: there is no bucket nothing')
  })

  it('is served to others by serve --backend, to whom it is a server like any other', async () => {
    await must('bucket', 'create', `${place}//team`)
    const server = await machine.serve('--backend', place)
    const token = (await must('token', 'create', 'team', '--data', server.data, '-q')).trim()
    const env = { BLOBS_TOKEN: token }
    const url = `${server.url}/team`
    expect((await machine.blobs(['put', machine.write('x', 'by http'), `${url}/x`], { env })).code).toBe(0)
    expect(await must('cat', `${place}//team/x`)).toBe('by http')
    await must('put', machine.write('y', 'beside it'), `${place}//team/y`)
    expect((await machine.blobs(['cat', `${url}/y`], { env })).stdout).toBe('beside it')
    const { code } = await server.stop('SIGTERM')
    expect(code).toBe(0)
  })

  it('is copied to and from servers, whose token is not for the place', async () => {
    await must('bucket', 'create', `${place}//team`)
    await must('put', machine.write('x', 'bytes'), `${place}//team/x`)
    const server = await machine.serve()
    const token = (await must('token', 'create', 'team', '--data', server.data, '-q')).trim()
    const env = { BLOBS_TOKEN: token }
    const copied = await machine.blobs(['cp', `${place}//team/x`, `${server.url}/team/x`], { env })
    expect(copied.stderr).not.toContain('one token')
    expect(copied.code).toBe(0)
    expect((await machine.blobs(['cat', `${server.url}/team/x`], { env })).stdout).toBe('bytes')
  })

  it('is no server of a server', async () => {
    const { code, stderr } = await machine.blobs(['serve', '--port', '0', '--backend', 'http://localhost:1'])
    expect(code).toBe(2)
    expect(stderr).toContain('is a server itself')
  })
})
