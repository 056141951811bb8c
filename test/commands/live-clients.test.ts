import { createHmac, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../server/socket/client.ts'
import { type Machine, openMachine } from './blobs.ts'

let machine: Machine
beforeAll(() => {
  machine = openMachine()
})
afterAll(() => machine.dispose())

describe('clients of seed 000 and the command line', () => {
  it('use the same blobs: each sees what the other writes', async () => {
    const ref = randomBytes(32).toString('hex')
    const server = await machine.serve()
    const env = { BLOBS_DATA: server.data }
    const token = (await machine.blobs(['token', 'create', 'board'], { env })).stdout.trim()
    using client = await connect(server.url, token)
    await client.ask('ref', ref)
    expect(await client.ask('set', { data: Buffer.from('from an app').toString('base64') })).toEqual([
      { success: true, version: 1 },
    ])
    expect((await machine.blobs(['cat', `board/${ref}`], { env })).stdout).toBe('from an app')
    await machine.blobs(['put', '-', `board/${ref}`], { env, input: 'from a shell' })
    await client.changed(1)
    expect(await client.ask('get', { known: 1 })).toEqual([
      { data: Buffer.from('from a shell').toString('base64'), version: 2 },
    ])
    const stopped = await server.stop()
    expect(stopped.code).toBe(0)
    expect(await client.ended).toBe('transport close')
  })

  it('share a secret: a token made with TOKEN_SECRET is one that the server of seed 000 takes', async () => {
    const secret = 'the secret of both servers'
    const made = await machine.blobs(['token', 'create', 'board'], { env: { TOKEN_SECRET: secret } })
    const [head = '', claims = '', signature] = made.stdout.trim().split('.')
    expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toMatchObject({ alg: 'HS256', typ: 'JWT' })
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({ bucket: 'board' })
    expect(signature).toBe(createHmac('sha256', secret).update(`${head}.${claims}`).digest('base64url'))
  })
})
