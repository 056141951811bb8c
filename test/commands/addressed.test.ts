import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sha256 } from '../../src/content/hash.ts'
import { openMachine, type Machine } from './blobs.ts'

let machine: Machine
let place: string
beforeEach(() => {
  machine = openMachine()
  place = `folder+cas://${machine.path('media')}`
})
afterEach(() => machine.dispose())

async function must(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await machine.blobs(args)
  expect(code, stderr).toBe(0)
  return stdout
}
const hash = sha256(Buffer.from('some bytes'))
const address = `sha256:${hash}`

describe('bytes by their address', () => {
  it('are put, which prints the address alone, and come back by it', async () => {
    const file = machine.write('photo.jpg', 'some bytes')
    expect(await must('put', '--address', file, place)).toBe(`${address}\n`)
    expect(await must('put', '--address', file, file, place)).toBe(`${address}\n${address}\n`)
    expect(readdirSync(machine.path('media'))).toEqual([hash])
    expect(await must('cat', `${place}/${address}`)).toBe('some bytes')
    expect(await must('get', `${place}/${address}`, '-')).toBe('some bytes')
    mkdirSync(machine.path('into'))
    await must('get', `${place}/${address}`, machine.path('into'))
    await must('get', `${place}/${address}`, machine.path('named.jpg'))
    expect(readFileSync(machine.path('into', hash), 'utf8')).toBe('some bytes')
    expect(readFileSync(machine.path('named.jpg'), 'utf8')).toBe('some bytes')
    expect(await must('ls', place)).toBe(`${address}\n`)
    expect(await must('stat', `${place}/${address}`)).toContain('10')
  })

  it('are looked up in the place that BLOBS_SERVER names', async () => {
    const env = { BLOBS_SERVER: place }
    const { stdout } = await machine.blobs(['put', '--address', '-', place], { input: 'some bytes' })
    expect(stdout).toBe(`${address}\n`)
    expect((await machine.blobs(['cat', address], { env })).stdout).toBe('some bytes')
    expect((await machine.blobs(['ls'], { env })).stdout).toBe(`${address}\n`)
    expect((await machine.blobs(['stat', address, '--json'], { env })).json()).toMatchObject({
      address,
      hash,
      size: 10,
    })
  })

  it('are told as JSON', async () => {
    const file = machine.write('a', 'some bytes')
    const lines = (await must('put', '--address', file, place, '--json')).trim().split('\n')
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      type: 'put',
      path: file,
      address,
      hash,
      size: 10,
      location: place,
    })
    expect(JSON.parse(lines.at(-1) ?? '')).toMatchObject({ type: 'summary', blobs: 1, bytes: 10, failed: 0 })
  })

  it('end with 6 where there are none, with 9 where they are damaged, and with 2 where there is no address', async () => {
    await must('put', '--address', machine.write('a', 'some bytes'), place)
    const absent = `sha256:${sha256(Buffer.from('absent'))}`
    for (const command of ['get', 'cat', 'stat', 'ls']) {
      expect((await machine.blobs([command, `${place}/${absent}`])).code, command).toBe(6)
    }
    writeFileSync(machine.path('media', hash), 'SOME BYTES')
    const damaged = await machine.blobs(['get', `${place}/${address}`, machine.path('copy')])
    expect([damaged.code, readdirSync(machine.path()).includes('copy')]).toEqual([9, false])
    const cat = await machine.blobs(['cat', `${place}/${address}`])
    expect([cat.code, cat.stdout]).toEqual([9, ''])
    for (const wrong of ['sha256:abc', 'sha256:../../etc/passwd', `${place}/sha256:${hash}0`]) {
      expect((await machine.blobs(['get', wrong])).code, wrong).toBe(2)
    }
    expect((await machine.blobs(['get', `${place}/${address}`, '-', '--range', '0-1'])).code).toBe(2)
  })

  it('go on with the other files where one fails', async () => {
    const files = [machine.path('missing'), machine.write('a', 'some bytes')]
    const { code, stdout } = await machine.blobs(['put', '--address', ...files, place])
    expect([code, stdout]).toEqual([3, `${address}\n`])
  })

  it.each([
    ['put', 'FILE', 'PLACE'],
    ['put', 'FILE', 'PLACE/name'],
    ['rm', 'PLACE/ADDRESS'],
    ['history', 'PLACE/ADDRESS'],
    ['bucket', 'create', 'PLACE/team'],
    ['bucket', 'ls', 'PLACE'],
    ['sync', 'FOLDER', 'PLACE'],
    ['doctor', 'PLACE'],
    ['cp', 'PLACE/ADDRESS', 'team/x'],
  ])('%s says that there are no buckets in such a place, and what to do', async (...words) => {
    mkdirSync(machine.path('folder'))
    const args = words.map((word) =>
      word
        .replace('FILE', machine.write('a', 'x'))
        .replace('FOLDER', machine.path('folder'))
        .replace('PLACE', place)
        .replace('ADDRESS', address),
    )
    const { code, stderr } = await machine.blobs(args)
    expect(code, stderr).not.toBe(0)
    expect(stderr).toMatch(/bytes by their address|is an address/)
    expect(stderr).toContain('blobs put --address')
  })

  it('have no meaning where bytes have names', async () => {
    await must('bucket', 'create', 'team')
    for (const args of [
      ['put', '--address', machine.write('a', 'x'), 'team'],
      ['get', address],
      ['stat', address],
    ]) {
      const { code, stderr } = await machine.blobs(args)
      expect([code, stderr]).toEqual([1, expect.stringContaining('folder+cas:///DIR')])
    }
  })
})
