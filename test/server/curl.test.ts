import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Running, running } from './running.ts'

let directory: string
let at: Running
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'blobs-curl-'))
  at = await running({ on: 'disk' })
})
afterEach(async () => {
  await at[Symbol.asyncDispose]()
  await rm(directory, { recursive: true })
})

/** Runs sh; what it wrote, and how it ended. */
async function sh(script: string, bucket: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = {
    PATH: process.env['PATH'],
    LC_ALL: 'C',
    SERVER: at.url,
    BUCKET: bucket,
    TOKEN: await at.token({ bucket }),
    ADMIN: await at.token({ bucket, can: ['read', 'write', 'delete', 'admin'] }),
  }
  return new Promise((resolve) => {
    execFile('sh', ['-c', script], { cwd: directory, env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
  })
}

it('a client in plain curl, written from the specification alone, does the main job', async () => {
  const script = await readFile(new URL('client.sh', import.meta.url), 'utf8')
  const { code, stdout, stderr } = await sh(script, 'shell')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.trim().split('\n')).toEqual([
    'ok 1 make a bucket',
    'ok 2 put',
    'ok 3 conditional put',
    'ok 4 conflict',
    'ok 5 wrong hash',
    'ok 6 range get, old version',
    'ok 7 list',
    'ok 8 chunks by frames',
    'ok 9 commit a batch',
    'ok 10 fetch',
    'ok 11 changes by cursor',
    'ok 12 tokens',
    'done',
  ])
})

it('the examples of the specification run as they stand, in their order', async () => {
  const page = await readFile(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
  const blocks = [...page.matchAll(/^```sh\n(.*?)^```$/gms)].map((found) => found[1] ?? '')
  expect(blocks.length).toBeGreaterThan(5)
  const { code, stdout, stderr } = await sh(`set -eu\n${blocks.join('\n')}`, 'demo')
  expect({ code, stderr: stderr.replaceAll(/^curl: \(22\).*412\n/gm, '') }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toContain('"code":"VersionConflict"')
  expect(stdout).toContain('hello\n')
  expect(stdout).toMatch(/"type":"delete".*"key":"batch\/one"/)
})
