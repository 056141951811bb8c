import { randomBytes } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPlace, type Machine, type Place } from '../../scripts/harness.ts'
import { makeCertificate } from '../server/certificate.ts'
import { startContainersServer, type ContainersServer } from '../doubles/containers-server.ts'

const MIB = 1024 * 1024
const PASSWORD = 'a password that nobody sees'
let server: ContainersServer
let place: Place
let ann: Machine
let url: string
beforeAll(async () => {
  server = await startContainersServer()
  server.signUp('ann', PASSWORD)
  place = openPlace('blobs-containers-')
  ann = machine('ann')
  url = `containers+${server.url}`
  await ann.must(['bucket', 'create', `${url}/box`])
})
afterAll(async () => {
  await place.dispose()
  await server.stop()
})

function machine(name: string): Machine {
  return place.machine(name, { BLOBS_USER: 'ann', BLOBS_PASSWORD: PASSWORD })
}

it('is used by the usual commands: put, ls, cat, history, mv, rm', async () => {
  const box = `${url}/box`
  const alone = '?single-writer=yes'
  const put = (text: string) => ann.must(['put', '-', `${box}/notes/a%20b.txt${alone}`], { input: Buffer.from(text) })
  await put('one')
  await put('two')
  expect((await ann.must(['ls', '-r', box])).out).toContain('notes/a b.txt')
  expect((await ann.must(['cat', `${box}/notes/a%20b.txt`])).out).toBe('two\n')
  expect((await ann.must(['cat', `${box}/notes/a%20b.txt`, '--version', '1'])).out).toBe('one\n')
  await ann.must(['mv', `${box}/notes/a%20b.txt${alone}`, `${box}/moved.txt${alone}`])
  expect(server.blobs.filter(({ status }) => status !== 'deleted').map(({ name }) => name)).toEqual([
    expect.stringMatching(/^moved\.txt~v1~/),
  ])
  expect((await machine('other').must(['cat', `${box}/moved.txt`])).out).toBe('two\n')
  await ann.must(['rm', `${box}/moved.txt${alone}`])
  expect((await ann.run(['cat', `${box}/moved.txt`])).code).toBe(6)
})

it('is not written to by who might not be alone, and no secret is told', async () => {
  const { code, err } = await ann.run(['put', '-', `${url}/box/k`], { input: Buffer.from('x') })
  expect(code).toBe(12)
  expect(err).toContain('--single-writer')
  expect((await ann.run(['put', '-', `${url}/box/k`, '--single-writer'], { input: Buffer.from('x') })).code).toBe(0)
  const told = await place.machine('eve', { BLOBS_USER: 'ann', BLOBS_PASSWORD: 'guessed' }).run(['ls', `${url}/box`])
  expect(told.code).toBe(4)
  expect(told.err).not.toContain('guessed')
  const two = await ann.run(['cp', `${url}/box/k`, 'containers+http://127.0.0.1:1/box/k'])
  expect(two.code).toBe(2)
  expect(two.err).toContain('two servers')
})

it('is reached by TLS, where its authority is trusted', async () => {
  const pair = await makeCertificate()
  const behind = await startContainersServer(pair)
  try {
    behind.signUp('ann', PASSWORD)
    const caller = machine('tls')
    const secure = `containers+${behind.url}/box`
    const refused = await caller.run(['bucket', 'create', secure])
    expect(refused.code).toBe(12)
    expect(refused.err).toContain('--ca-cert')
    writeFileSync(`${caller.home}/ca.pem`, pair.cert)
    await caller.must(['bucket', 'create', secure, '--ca-cert', 'ca.pem'])
    const put = ['put', '-', `${secure}/k`, '--single-writer', '--ca-cert', 'ca.pem']
    await caller.must(put, { input: Buffer.from('by TLS') })
    expect((await caller.must(['cat', `${secure}/k`, '--ca-cert', 'ca.pem'])).out).toContain('by TLS')
  } finally {
    await behind.stop()
  }
})

it('is examined by doctor, and listed', async () => {
  const { out } = await ann.must(['doctor', `${url}/box`, '--json'])
  expect(JSON.parse(out)).toMatchObject({ ok: true, buckets: 1 })
  expect(out).toContain('no several writers')
  expect((await ann.must(['ls', url])).out).toContain('box')
})

it('loses no file of a synced folder while its database fails', async () => {
  const syncing = machine('syncing')
  const folder = `${syncing.home}/notes`
  mkdirSync(folder)
  for (const name of ['a', 'b', 'c']) writeFileSync(`${folder}/${name}`, name)
  const target = `${url}/notes?single-writer=yes`
  await syncing.must(['sync', folder, target])
  for (const fails of [Infinity, 1]) {
    server.databaseFails = fails
    await syncing.run(['sync', folder])
    expect(readdirSync(folder).filter((name) => name !== '.blobs')).toEqual(['a', 'b', 'c'])
  }
  server.databaseFails = 0
  writeFileSync(`${folder}/d`, 'd')
  expect((await syncing.must(['sync', folder])).out).toContain('uploaded')
  expect((await machine('fifth').must(['ls', `${url}/notes`])).out.trim().split('\n')).toEqual(['a', 'b', 'c', 'd'])
})

it('holds what is large in little memory, up and down, and keeps the old version when it is killed in the middle', async () => {
  const target = `${url}/box/large?single-writer=yes`
  const bytes = Buffer.concat([randomBytes(MIB), Buffer.alloc(63 * MIB, 'blobs')])
  await ann.must(['put', '-', target], { input: Buffer.from('old') })
  let parts = 0
  const halfway = new Promise<void>((resolve) => {
    server.trouble = (request) => {
      if (request === 'POST /upload-part' && ++parts === 20) resolve()
      return parts >= 20 ? 'hang' : null
    }
  })
  const killed = ann.start(['put', '-', target], { input: bytes })
  await halfway
  killed.kill('SIGKILL')
  await killed.ended
  server.trouble = () => null
  expect((await ann.must(['cat', target])).out).toBe('old\n')
  expect((await machine('second').must(['cat', `${url}/box/large`])).out).toBe('old\n')

  const putting = ann.start(['put', '-', target, '--json'], { input: bytes })
  const up = peak(putting)
  expect((await putting.ended).code).toBe(0)
  const reader = machine('third')
  const getting = reader.start(['get', `${url}/box/large`, 'large', '--json'])
  const down = peak(getting)
  expect((await getting.ended).code).toBe(0)
  expect(readFileSync(`${reader.home}/large`).equals(bytes)).toBe(true)
  expect(await up).toBeLessThan(330 * MIB)
  expect(await down).toBeLessThan(330 * MIB)
  // What the killed one left is cleared up by the next version.
  expect(server.blobs.filter(({ name, status }) => name.startsWith('large~') && status !== 'deleted')).toHaveLength(1)
}, 120_000)

it('is written by many through one server of ours', async () => {
  const served = ann.start([
    'serve',
    '--json',
    '--port',
    '0',
    '--data',
    `${ann.home}/data`,
    '--backend',
    `${url}?single-writer=yes`,
  ])
  const { url: front } = await served.event('a listening server', (event) => event['type'] === 'listening')
  const token = (await ann.must(['token', 'create', 'box', '--data', `${ann.home}/data`, '-q'])).out.trim()
  const writers = ['w1', 'w2', 'w3'].map((name) => place.machine(name, { BLOBS_TOKEN: token }))
  await Promise.all(
    writers.map((writer, index) =>
      writer.must(['put', '-', `${String(front)}/box/by/${index}`], { input: Buffer.from(`${index}`) }),
    ),
  )
  await served.stop('SIGTERM')
  expect((await machine('fourth').must(['ls', '-r', `${url}/box`])).out).toMatch(/by\/0[^]*by\/1[^]*by\/2/)
}, 60_000)

/** Peak memory of a process, looked at until it ends. */
async function peak(running: ReturnType<Machine['start']>): Promise<number> {
  const looking = setInterval(() => running.peakMemory(), 50)
  await running.ended
  clearInterval(looking)
  return running.peakMemory()
}
