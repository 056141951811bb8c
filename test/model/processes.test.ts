import { mkdirSync, readdirSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeToken, openPlace, startServer, type Machine, type Place, type Running } from '../../scripts/harness.ts'
import { directories } from '../../src/platform/directories.ts'
import { systemFileSystem } from '../../src/platform/file-system.ts'
import { askAgent, readPairing, type AgentClient } from '../../src/sync/agent.ts'
import { anyCommands, openModel, stabilize, type Devices } from './commands.ts'
import type { Value } from './spec.ts'

/** Another seed, or more: `MODEL_SEED=7 MODEL_RUNS=100`. Processes take their own time: the same seed gives the same commands only. */
const SEED = Number(process.env['MODEL_SEED'] ?? 1)
const RUNS = Number(process.env['MODEL_RUNS'] ?? 6)
const COUNT = 3
const PATIENCE = 20_000
/** What one step of `go` is worth. */
const STEP = 15
const fs = systemFileSystem()

interface Device {
  readonly machine: Machine
  readonly root: string
  readonly url: string
  agent: Running
}

let place: Place
let devices: Device[]
let count = 0

beforeAll(async () => {
  place = openPlace('blobs-model-')
  const host = place.machine('server')
  const server = await startServer(host)
  const token = await makeToken(host, server, 'model')
  devices = Array.from({ length: COUNT }, (_none, n) => {
    const machine = place.machine(`d${n}`, { BLOBS_TOKEN_FILE: token })
    const root = join(machine.home, 'folder')
    mkdirSync(root)
    const url = `${server.url}/model`
    return { machine, root, url, agent: startAgent(machine, root, url) }
  })
  for (const { agent } of devices) await agent.event('rest', ({ type, state }) => type === 'state' && state === 'idle')
})
afterAll(() => place.dispose())

function startAgent(machine: Machine, root: string, url: string): Running {
  return machine.start(['sync', root, url, '--watch', '--json', '--max-delete', '100%'])
}

/** The same processes for every run, and a file of its own for each. */
function openDevices(path: string): Devices {
  const at = (device: number): Device => {
    const found = devices[device]
    if (found === undefined) throw new Error(`there is no device ${device}`)
    return found
  }
  return {
    count: COUNT,
    paths: [path],
    // Always new: a save in the very instant of a replacement is kept beside it, even if the bucket has its bytes.
    text: (letter) => `${letter}${++count}`,
    read: (device) => readText(join(at(device).root, path)),
    write: (device, _path, value) => swap(join(at(device).root, path), join(at(device).machine.home, 'aside'), value),
    go: async (_device, steps) => sleep(Math.min(steps, 40) * STEP),
    during: async (device) => {
      throw new Error(`nobody sees into ${device}`)
    },
    disturb: (rate) => {
      throw new Error(`nobody stands between, to lose ${rate} of all`)
    },
    kill: async (device) => {
      const one = at(device)
      await one.agent.stop('SIGKILL')
      one.agent = startAgent(one.machine, one.root, one.url)
    },
    settle: async () => settle(path),
    tree: (device) => treeOf(at(device), path),
  }
}

function readText(full: string): Value {
  const bytes = fs.readSmall(full, 1000)
  return bytes === null ? null : Buffer.from(bytes).toString()
}

/** Puts the value in the file's place, or takes the file away, in one act of the system that also yields what was there. */
function swap(full: string, aside: string, value: Value): Value {
  for (;;) {
    try {
      if (value === null) fs.renameNew(full, aside)
      else {
        writeFileSync(aside, value)
        expect(fs.exchange(aside, full)).toBe(true)
      }
      const found = readText(aside)
      unlinkSync(aside)
      return found
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
      if (value === null) return null
    }
    try {
      fs.renameNew(aside, full)
      return null
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
  }
}

/** Asks each agent to bring everything up to date, until the folders are the same. */
async function settle(path: string): Promise<void> {
  for (const start = performance.now(); performance.now() - start < PATIENCE;) {
    for (const device of devices) {
      const client = await agentOf(device)
      await client.wait()
      await client.close()
    }
    const [first, ...others] = devices.map((device) => JSON.stringify(Object.entries(treeOf(device, path)).sort()))
    // Twice the same: the last of them may have told the first something new.
    if (others.every((tree) => tree === first) && (await stays(path, first ?? ''))) return
  }
}

async function stays(path: string, tree: string): Promise<boolean> {
  for (const device of devices) {
    const client = await agentOf(device)
    await client.wait()
    await client.close()
  }
  return devices.every((device) => JSON.stringify(Object.entries(treeOf(device, path)).sort()) === tree)
}

async function agentOf({ machine, root }: Device): Promise<AgentClient> {
  const rootId = readPairing(fs, root)?.id ?? ''
  for (const start = performance.now(); performance.now() - start < PATIENCE; await sleep(20)) {
    const client = await askAgent({ runtimeDirectory: directories(machine.env).runtime, rootId }).catch(() => null)
    if (client === null) continue
    // One that is just starting answers, but not yet to this.
    if ((await client.status().catch(() => null)) !== null) return client
    await client.close()
  }
  throw new Error(`no agent answers for ${root}`)
}

function treeOf({ root }: Device, path: string): Record<string, Value> {
  const names = readdirSync(root).filter((name) => name.startsWith(path))
  return Object.fromEntries(names.map((name) => [name, readText(join(root, name))]))
}

test.skipIf(process.platform === 'win32')(
  'real agents of a real server, killed at any time, behave as the model does',
  { timeout: 600_000 },
  async () => {
    let run = 0
    await fc.assert(
      fc.asyncProperty(anyCommands({ devices: COUNT, most: 14, inside: false }), async (commands) => {
        const real = openDevices(`run${++run}-`)
        const model = openModel(real)
        await fc.asyncModelRun(() => ({ model, real }), commands)
        await stabilize(model, real)
      }),
      { numRuns: RUNS, seed: SEED },
    )
  },
)
