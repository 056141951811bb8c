import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openMachine, type Machine, type Server } from './blobs.ts'

let machine: Machine
let server: Server
let token: string
beforeAll(async () => {
  machine = openMachine()
  server = await machine.serve()
  token = (await machine.blobs(['token', 'create', 'team', '--data', server.data, '-q'])).stdout.trim()
  await machine.blobs(['bucket', 'create', 'team'])
  machine.write('a.txt', 'one')
})
afterAll(() => machine.dispose())

test.each([
  ['of the embedded store, by another process', ''],
  ['of a server', '@/'],
])('a watch %s tells at once what happens, and ends with 0', async (_, place) => {
  const prefix = place.replace('@', server.url)
  const env = { BLOBS_TOKEN: token, BLOBS: prefix }
  await machine.blobs(['put', 'a.txt', `${prefix}team/`], { env })
  const child = spawn('sh', ['-c', `exec blobs watch ${prefix}team --json -q`], {
    env: { ...process.env, ...machineEnv(machine), BLOBS_TOKEN: token },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<Record<string, unknown>> => JSON.parse((await lines.next()).value ?? '{}')
  // It says nothing until something happens: write until it does.
  const first = next()
  const told = new AbortController()
  void first.then(() => told.abort())
  while (!told.signal.aborted) await machine.blobs(['put', 'a.txt', `${prefix}team/b.txt`], { env })
  expect(await first).toMatchObject({ type: 'put', key: 'b.txt' })
  await machine.blobs(['rm', `${prefix}team/a.txt`], { env })
  let line = await next()
  while (line['type'] !== 'delete') line = await next()
  expect(line).toMatchObject({ key: 'a.txt', deleted: true })
  const bookmark = await next()
  expect(bookmark).toMatchObject({ type: 'bookmark' })
  child.kill('SIGTERM')
  expect(await next()).toMatchObject({ type: 'summary', cursor: bookmark['cursor'] })
  expect(await once(child, 'exit')).toEqual([0, null])
  const again = await machine.blobs(
    ['watch', `${prefix}team`, '--since', String(bookmark['cursor']), '--once', '--json'],
    {
      env,
    },
  )
  expect(again.lines()).toEqual([{ type: 'summary', changes: 0, cursor: bookmark['cursor'] }])
})

function machineEnv({ home }: Machine): Record<string, string> {
  const at = (name: string): string => `${home}/${name}`
  return {
    PATH: `${at('bin')}:${process.env['PATH'] ?? ''}`,
    HOME: home,
    XDG_CONFIG_HOME: at('config'),
    XDG_DATA_HOME: at('share'),
    XDG_STATE_HOME: at('state'),
    XDG_CACHE_HOME: at('cache'),
  }
}
