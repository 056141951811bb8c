import { mkdirSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { noise } from '../store/noise.ts'
import { openMachine, type Machine } from './blobs.ts'

let machine: Machine
beforeEach(() => {
  machine = openMachine()
})
afterEach(() => machine.dispose())

/** Runs `blobs` until it has written so many files below a folder, and kills it then. */
async function killedAt(files: number, folder: string, words: string): Promise<void> {
  const written = `[ "$(find '${folder}' -type f | wc -l)" -ge ${files} ]`
  const alive = 'kill -0 $pid 2>/dev/null'
  const line = `blobs ${words} & pid=$!; while ${alive} && ! ${written}; do sleep 0.02; done; kill -9 $pid; wait $pid`
  expect((await machine.shell(line)).code).toBe(137)
}

async function versions(bucket: string): Promise<unknown[]> {
  const { code, lines, stderr } = await machine.blobs(['ls', '-r', '--versions', bucket, '--json'])
  expect([code, stderr]).toEqual([0, ''])
  return lines()
    .filter(({ type }) => type !== 'summary')
    .map(({ key, version, hash, size, modified, entry }) => ({ key, version, hash, size, modified, entry }))
}

test('a backup and a restore that are killed in the middle go on, and at the end nothing lacks', async () => {
  for (let n = 0; n < 30; n++) machine.write(`many/${n}`, noise(150_000, n))
  await machine.blobs(['bucket', 'create', 'team'])
  expect((await machine.blobs(['put', '-r', 'many', 'team/many'])).code).toBe(0)
  expect((await machine.blobs(['put', '-r', 'many', 'team/many'])).code).toBe(0)
  expect((await machine.blobs(['put', '-r', 'many', 'team/again'])).code).toBe(0)
  const before = await versions('team')
  expect(before).toHaveLength(90)
  for (const folder of ['disk', 'other']) mkdirSync(machine.path(folder))
  const [backup, restored] = ['disk', 'other'].map((folder) => `folder://${machine.path(folder)}//team`)
  // At this pace it takes some seconds.
  const slowly = `--limit-rate 2MB`
  await killedAt(3, machine.path('disk'), `backup team '${backup}' ${slowly}`)
  await killedAt(8, machine.path('disk'), `backup team '${backup}' ${slowly}`)
  expect((await machine.blobs(['backup', 'team', `${backup}`])).code).toBe(0)
  expect(await versions(`${backup}`)).toEqual(before)

  await killedAt(5, machine.path('other'), `restore-backup '${backup}' '${restored}' ${slowly}`)
  expect((await machine.blobs(['stat', `${restored}`])).stdout).toContain('just being restored from team')
  expect((await machine.blobs(['restore-backup', `${backup}`, `${restored}`])).code).toBe(0)
  expect(await versions(`${restored}`)).toEqual(before)
  const doctor = await machine.blobs(['doctor', `${restored}`])
  expect([doctor.code, doctor.stderr]).toEqual([0, ''])
}, 120_000)
