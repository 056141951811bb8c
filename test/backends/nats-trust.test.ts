import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import { afterEach, describe, expect, it } from 'vitest'
import { makeCertificate } from '../../src/access/certificate.ts'
import { splitPlace } from '../../src/locations/target.ts'
import { systemClock as clock, systemIds as ids } from '../../src/platform/system.ts'
import type { Backend, BackendContext } from '../../src/store/ports.ts'
import { backendDriver } from './driver/open.ts'
import { whileUsual } from './usual-authorities.ts'
import { lacksNats, startNats } from './nats-server.ts'

const lacks = lacksNats()
const ends: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

function folder(): string {
  return mkdtempSync(join(tmpdir(), 'blobs-nats-trust-'))
}

function write(name: string, text: string): string {
  const path = join(folder(), name)
  writeFileSync(path, text, { mode: 0o600 })
  return path
}

async function serve(...flags: readonly string[]): Promise<string> {
  const server = await startNats(['-js', ...flags])
  ends.push(() => server.stop())
  return server.address.replace('127.0.0.1', 'localhost')
}

async function open(
  url: string,
  more: Partial<BackendContext> = {},
): Promise<{ readonly backend: Backend; readonly warnings: readonly string[] }> {
  const home = folder()
  const warnings: string[] = []
  const driver = await backendDriver('nats')
  const backend = await driver.open(splitPlace(url), {
    clock,
    ids,
    env: {},
    token: async () => null,
    proxyFor: () => null,
    cacheDirectory: join(home, 'cache'),
    stateDirectory: join(home, 'state'),
    singleWriter: false,
    warn: (message) => warnings.push(message),
    ...more,
  })
  ends.push(() => backend.close())
  return { backend, warnings }
}

describe.skipIf(lacks !== null)(`trust between blobs and a server of NATS (${lacks ?? 'both ways'})`, () => {
  it('a server that demands TLS is used when its authority is trusted, and refused when not', async () => {
    const { cert, key } = makeCertificate(['localhost'])
    const flags = ['--tls', '--tlscert', write('cert.pem', cert), '--tlskey', write('key.pem', key)]
    const address = await serve(...flags)
    expect(await (await open(`nats://${address}`, { ca: cert })).backend.names()).toEqual([])
    await expect(open(`nats://${address}`)).rejects.toMatchObject({
      code: 'Refused',
      hint: expect.stringContaining('--ca-cert'),
    })
    const other = makeCertificate(['localhost']).cert
    await expect(open(`nats://${address}`, { ca: other })).rejects.toMatchObject({ code: 'Refused' })
    // What is named is trusted besides the usual ones.
    const { backend } = await whileUsual(cert, () => open(`nats://${address}`, { ca: other }))
    expect(await backend.names()).toEqual([])
  })

  it('a server without TLS is refused where TLS is asked for', async () => {
    const address = await serve()
    await expect(open(`nats://${address}?tls=required`)).rejects.toMatchObject({ code: 'Refused' })
    const { cert } = makeCertificate(['localhost'])
    await expect(open(`nats://${address}`, { ca: cert })).rejects.toMatchObject({ code: 'Refused' })
  })

  it('an NKey proves who one is, by its seed or a file that has it; the seed is in no error', async () => {
    const user = nkeys.createUser()
    const seed = Buffer.from(user.getSeed()).toString()
    const config = `authorization { users = [ { nkey: ${user.getPublicKey()} } ] }`
    const address = await serve('-c', write('nats.conf', config))
    for (const key of [seed, write('seed', `${seed}\n`)]) {
      const { backend } = await open(`nats://${address}`, { env: { NATS_NKEY: key } })
      expect(await backend.names()).toEqual([])
    }
    const other = Buffer.from(nkeys.createUser().getSeed()).toString()
    const refused = await open(`nats://${address}`, { env: { NATS_NKEY: other } }).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: 'Unauthenticated' })
    expect(JSON.stringify(refused) + String(refused)).not.toContain(other)
    const missing = open(`nats://${address}`, { env: { NATS_NKEY: join(folder(), 'nothing') } })
    await expect(missing).rejects.toMatchObject({ code: 'NotFound' })
    await expect(open(`nats://${address}?creds=${join(folder(), 'nothing')}`)).rejects.toMatchObject({
      code: 'NotFound',
    })
  })
})

it('a server of NATS that is too old is NotSupported, with the version that is needed', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      if (bytes.includes('PING')) socket.write('PONG\r\n')
    })
    const info = { server_id: 'X', version: '2.8.4', proto: 1, headers: true, max_payload: 1_048_576, jetstream: true }
    socket.write(`INFO ${JSON.stringify(info)}\r\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(async () => server.close())
  await expect(open(`nats://127.0.0.1:${(server.address() as AddressInfo).port}`)).rejects.toMatchObject({
    code: 'NotSupported',
    hint: expect.stringContaining('2.9'),
  })
})
